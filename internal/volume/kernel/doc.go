// Package kernel makes a volume a disk of the Linux kernel: /dev/nbdN.
//
// It owns talking to the kernel's NBD client by generic netlink and keeping it
// supplied with sockets, whose other ends volume/nbd serves in this process. A
// device has a backend identifier: the next volume-server finds it by that and
// gives it new sockets, and I/O that was held meanwhile goes on.
//
// A [Disk] may be used by many goroutines. Start reading at disk_linux.go. The
// interface: include/uapi/linux/nbd-netlink.h and drivers/block/nbd.c of Linux.
package kernel
