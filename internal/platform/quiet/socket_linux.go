package quiet

import (
	"math/bits"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	receiving = unix.MSG_DONTWAIT
	sending   = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
)

// Send is send(2): it takes what there is room for, or fails with EAGAIN.
func Send(fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), sending, 0, 0)
		if done, err := over(errno); done {
			return int(n), err
		}
	}
}

// Receive is recv(2): it fails with EAGAIN if there is nothing.
func Receive(fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), receiving, 0, 0)
		if done, err := over(errno); done {
			return int(n), err
		}
	}
}

// Read is read(2) for a file descriptor that doesn't block, such as a timer's.
func Read(fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if done, err := over(errno); done {
			return int(n), err
		}
	}
}

// SendTo is sendto(2) on a datagram socket of the address's family. zone is the
// interface of a link-local address, else 0.
func SendTo(fd uintptr, b []byte, to netip.AddrPort, zone uint32) error {
	// Room for either family; an IPv4 address is laid over it.
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: network(to.Port()), Addr: to.Addr().As16(), Scope_id: zone}
	size := uintptr(unix.SizeofSockaddrInet6)
	if to.Addr().Is4() {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&sa)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: network(to.Port()), Addr: to.Addr().As4()}
		size = unix.SizeofSockaddrInet4
	}
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), sending,
			uintptr(unsafe.Pointer(&sa)), size)
		if done, err := over(errno); done {
			return err
		}
	}
}

// ReceiveFrom is recvfrom(2) on an IPv4 or IPv6 socket. What is longer than b is
// cut off. The address has no zone.
func ReceiveFrom(fd uintptr, b []byte) (int, netip.AddrPort, error) {
	var sa unix.RawSockaddrInet6
	for {
		size := uint32(unix.SizeofSockaddrInet6)
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), receiving,
			uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
		done, err := over(errno)
		switch {
		case !done:
		case err != nil:
			return 0, netip.AddrPort{}, err
		case sa.Family == unix.AF_INET:
			in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
			return int(n), netip.AddrPortFrom(netip.AddrFrom4(in.Addr), network(in.Port)), nil
		default:
			return int(n), netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), network(sa.Port)), nil
		}
	}
}

// over reports whether a call came to an end: a signal interrupts some.
func over(errno unix.Errno) (bool, error) {
	switch errno {
	case 0:
		return true, nil
	case unix.EINTR:
		return false, nil
	}
	return true, errno
}

// network turns a port between the machine's order and the network's.
func network(port uint16) uint16 {
	if bigEndian {
		return port
	}
	return bits.ReverseBytes16(port)
}

var bigEndian = func() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 0
}()
