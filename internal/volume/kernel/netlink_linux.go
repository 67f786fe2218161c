package kernel

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/message"
)

// Commands and attributes. Source: include/uapi/linux/nbd-netlink.h.
const (
	cmdConnect     = 1
	cmdDisconnect  = 2
	cmdReconfigure = 3
	cmdStatus      = 5

	attrIndex          = 1
	attrSize           = 2
	attrBlockSize      = 3
	attrTimeout        = 4
	attrServerFlags    = 5
	attrClientFlags    = 6
	attrSockets        = 7
	attrDeadTimeout    = 8
	attrDeviceList     = 9
	attrBackend        = 10
	attrSocketItem     = 1
	attrSocketFD       = 1
	attrDeviceItem     = 1
	attrDeviceIndex    = 1
	attrDeviceConnects = 2
)

// told is what the kernel is told of a device.
type told struct {
	index       int // -1: the first free one
	backend     string
	size        int64
	blockSize   int
	flags       uint16
	timeout     time.Duration
	deadTimeout time.Duration
	sockets     []int // file descriptors
}

// netlinkNBD is the kernel's NBD client.
type netlinkNBD struct{ family *netlink.GenlFamily }

// open finds it. Without the module there is none.
func open() (netlinkNBD, error) {
	f, err := netlink.GenlFamilyGet("nbd")
	if err != nil {
		return netlinkNBD{}, message.New(message.KernelWithoutNBD, err).Wrap(err)
	}
	return netlinkNBD{f}, nil
}

func (n netlinkNBD) request(cmd uint8, attrs ...*nl.RtAttr) ([][]byte, error) {
	r := nl.NewNetlinkRequest(int(n.family.ID), unix.NLM_F_ACK)
	r.AddData(&nl.Genlmsg{Command: cmd, Version: uint8(n.family.Version)})
	for _, a := range attrs {
		r.AddData(a)
	}
	return r.Execute(unix.NETLINK_GENERIC, 0)
}

func u32(kind int, v uint32) *nl.RtAttr { return nl.NewRtAttr(kind, nl.Uint32Attr(v)) }
func u64(kind int, v uint64) *nl.RtAttr { return nl.NewRtAttr(kind, nl.Uint64Attr(v)) }

func sockets(fds []int) *nl.RtAttr {
	all := nl.NewRtAttr(unix.NLA_F_NESTED|attrSockets, nil)
	for _, fd := range fds {
		all.AddRtAttr(unix.NLA_F_NESTED|attrSocketItem, nil).AddRtAttr(attrSocketFD, nl.Uint32Attr(uint32(fd)))
	}
	return all
}

// seconds rounds up: 0 would mean something else.
func seconds(d time.Duration) uint64 { return uint64((d + time.Second - 1) / time.Second) }

// connect makes a device and returns its index.
func (n netlinkNBD) connect(d told) (int, error) {
	attrs := []*nl.RtAttr{
		u64(attrSize, uint64(d.size)), u64(attrBlockSize, uint64(d.blockSize)), u64(attrServerFlags, uint64(d.flags)),
		u64(attrTimeout, seconds(d.timeout)), u64(attrDeadTimeout, seconds(d.deadTimeout)),
		nl.NewRtAttr(attrBackend, nl.ZeroTerminated(d.backend)), sockets(d.sockets),
	}
	if d.index >= 0 {
		attrs = append(attrs, u32(attrIndex, uint32(d.index)))
	}
	replies, err := n.request(cmdConnect, attrs...)
	if err != nil {
		return 0, fmt.Errorf("connect an NBD device of the kernel: %w", err)
	}
	for _, r := range replies {
		if v, ok := find(r, attrIndex); ok && len(v) >= 4 {
			return int(nl.NativeEndian().Uint32(v)), nil
		}
	}
	return 0, errors.New("connect an NBD device of the kernel: it didn't say which")
}

// reconfigure gives a device of ours sockets instead of dead ones, and its size.
func (n netlinkNBD) reconfigure(d told) error {
	attrs := []*nl.RtAttr{u32(attrIndex, uint32(d.index)), nl.NewRtAttr(attrBackend, nl.ZeroTerminated(d.backend)),
		u64(attrTimeout, seconds(d.timeout)), u64(attrDeadTimeout, seconds(d.deadTimeout))}
	if d.size > 0 {
		attrs = append(attrs, u64(attrSize, uint64(d.size)), u64(attrBlockSize, uint64(d.blockSize)))
	}
	if len(d.sockets) > 0 {
		attrs = append(attrs, sockets(d.sockets))
	}
	if _, err := n.request(cmdReconfigure, attrs...); err != nil {
		return fmt.Errorf("reconfigure /dev/nbd%d: %w", d.index, err)
	}
	return nil
}

func (n netlinkNBD) disconnect(index int) error {
	if _, err := n.request(cmdDisconnect, u32(attrIndex, uint32(index))); err != nil {
		return fmt.Errorf("disconnect /dev/nbd%d: %w", index, err)
	}
	return nil
}

// connected reports whether a device is connected.
func (n netlinkNBD) connected(index int) (bool, error) {
	replies, err := n.request(cmdStatus, u32(attrIndex, uint32(index)))
	if err != nil {
		return false, fmt.Errorf("ask for the state of /dev/nbd%d: %w", index, err)
	}
	for _, r := range replies {
		list, ok := find(r, attrDeviceList)
		if !ok {
			continue
		}
		items, err := nl.ParseRouteAttr(list)
		if err != nil {
			return false, fmt.Errorf("read the state of /dev/nbd%d: %w", index, err)
		}
		for _, item := range items {
			fields, err := nl.ParseRouteAttr(item.Value)
			if err != nil {
				return false, fmt.Errorf("read the state of /dev/nbd%d: %w", index, err)
			}
			which, is := -1, false
			for _, f := range fields {
				switch {
				case f.Attr.Type&^unix.NLA_F_NESTED == attrDeviceIndex && len(f.Value) >= 4:
					which = int(nl.NativeEndian().Uint32(f.Value))
				case f.Attr.Type == attrDeviceConnects && len(f.Value) >= 1:
					is = f.Value[0] != 0
				}
			}
			if which == index {
				return is, nil
			}
		}
	}
	return false, nil
}

// find returns the value of an attribute of a generic netlink message.
func find(reply []byte, kind uint16) ([]byte, bool) {
	if len(reply) < nl.SizeofGenlmsg {
		return nil, false
	}
	attrs, err := nl.ParseRouteAttr(reply[nl.SizeofGenlmsg:])
	if err != nil {
		return nil, false
	}
	for _, a := range attrs {
		if a.Attr.Type&^unix.NLA_F_NESTED == kind {
			return a.Value, true
		}
	}
	return nil, false
}
