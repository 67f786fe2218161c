// Package filesystem is the kit that mounts a local file system (ext4, xfs,
// btrfs) on the node where its hierarchy is in service, and on no other.
//
// It owns finding the device, the judgement of what is mounted and with which
// options, the check and repair before a mount, and the end of everything that
// uses the mount before it is unmounted. It leaves to the fencing class of the
// hierarchy that another node has let go of a shared disk, and to mount, umount,
// blkid, fsck, stat and dd what touches the disk: each runs as a process of its
// own with a deadline, because a disk that hangs takes its caller with it.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then start.go and stop.go.
package filesystem
