package ip

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// frameMax is longer than any ARP frame or neighbour message that counts.
const frameMax = 1514

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// packetSocket opens a packet socket on a device, or on all with index 0, that
// receives one protocol; 0: nothing.
func packetSocket(l link, protocol uint16, filter []unix.SockFilter) (int, error) {
	// Opened with protocol 0 it receives nothing before the filter is there.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open a packet socket: %w", err)
	}
	if filter != nil {
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: l.Index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("open a packet socket on %s: %w", l.Name, err)
	}
	return fd, nil
}

func (k *kernel) Send(l link, frames ...[]byte) error {
	fd, err := k.sender()
	if err != nil {
		return err
	}
	for _, f := range frames {
		err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: l.Index, Halen: macLength})
		// A full queue loses one of several.
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("send a frame on %s: %w", l.Name, err)
		}
	}
	return nil
}

// neighbourFilter lets neighbour solicitations and advertisements through and
// nothing else of the device's IPv6 traffic.
func neighbourFilter() []unix.SockFilter {
	const load16, load8, equal, give = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, unix.BPF_LD | unix.BPF_B | unix.BPF_ABS,
		unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	return []unix.SockFilter{
		{Code: load16, K: 12},
		{Code: equal, Jf: 6, K: etherIPv6},
		{Code: load8, K: etherHeader + 6},
		{Code: equal, Jf: 4, K: nextICMPv6},
		{Code: load8, K: etherHeader + ipv6Header},
		{Code: equal, Jt: 1, K: solicit},
		{Code: equal, Jf: 1, K: advertise},
		{Code: give, K: frameMax},
		{Code: give, K: 0},
	}
}

func (*kernel) Listen(ctx context.Context, l link, v4 bool, ready func(), got func([]byte)) error {
	protocol, filter := uint16(etherARP), []unix.SockFilter(nil)
	if !v4 {
		protocol, filter = etherIPv6, neighbourFilter()
	}
	fd, err := packetSocket(l, protocol, filter)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "packet")
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("listen on %s: %w", l.Name, err)
	}
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	ready()
	buf := make([]byte, frameMax)
	for {
		n, from, rerr := 0, unix.Sockaddr(nil), error(nil)
		err := raw.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), buf, 0)
			return !errors.Is(rerr, unix.EAGAIN)
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("listen on %s: %w", l.Name, err)
		case errors.Is(rerr, unix.ENETDOWN) || errors.Is(rerr, unix.EINTR):
			continue // reported once; frames come again when it is up
		case rerr != nil:
			return fmt.Errorf("listen on %s: %w", l.Name, rerr)
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		got(buf[:n])
	}
}
