package outside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/space"
)

// WatchARP asks every node alone for the service's address, every interval
// until ctx ends, and reports each claim. With IPv6 it does so by neighbour
// discovery. It returns after it ended.
func (o *Outside) WatchARP(ctx context.Context, clock client.Clock, interval time.Duration, claim func(client.Reply)) error {
	socket, err := o.openARP()
	if err != nil {
		return fmt.Errorf("watch ARP: %w", err)
	}
	defer socket.Close()
	release := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(space.Past) })
	defer release()

	w := arpWatch{out: o, clock: clock, socket: socket, claim: claim, asked: map[string]time.Duration{}}
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { w.ask(ctx, interval) })
	if err := w.listen(); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("watch ARP: %w", err)
	}
	return nil
}

// openARP opens a packet socket on the first probe device; frames to any node
// leave and answers come back through it.
func (o *Outside) openARP() (*os.File, error) {
	device, err := o.probes.link.LinkByName(o.cfg.Nodes[0].Name)
	if err != nil {
		return nil, err
	}
	protocol := uint16(unix.ETH_P_ARP)
	if o.cfg.Service.Addr().Is6() {
		protocol = unix.ETH_P_IPV6
	}
	protocol = protocol>>8 | protocol<<8 // network byte order
	var fd int
	err = o.probes.space.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(protocol))
		return os.NewSyscallError("socket", err)
	})
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: device.Attrs().Index}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "arp"), nil
}

type arpWatch struct {
	out    *Outside
	clock  client.Clock
	socket *os.File
	claim  func(client.Reply)

	mu    sync.Mutex
	asked map[string]time.Duration // by hardware address of the node
}

func (w *arpWatch) ask(ctx context.Context, interval time.Duration) {
	service, first := w.out.cfg.Service.Addr(), w.out.cfg.Nodes[0]
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		for _, n := range w.out.cfg.Nodes {
			request := client.ARPRequest
			if service.Is6() {
				request = client.NDRequest
			}
			frame := request(n.MAC, first.ProbeMAC, first.Probe, service)
			w.mu.Lock()
			w.asked[n.MAC.String()] = w.clock.Now()
			w.mu.Unlock()
			// A node that is off can't be asked; that is its answer.
			_, _ = w.socket.Write(frame)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *arpWatch) listen() error {
	service := w.out.cfg.Service.Addr()
	frame := make([]byte, 2048)
	for {
		size, err := w.socket.Read(frame)
		if err != nil {
			return err
		}
		parse := client.ParseARP
		if service.Is6() {
			parse = client.ParseND
		}
		claim, ok, err := parse(frame[:size])
		if err != nil || !ok || claim.Announced || claim.Addr != service {
			continue
		}
		w.mu.Lock()
		sent, known := w.asked[claim.MAC.String()]
		w.mu.Unlock()
		if !known {
			continue
		}
		for _, n := range w.out.cfg.Nodes {
			if n.MAC.String() == claim.MAC.String() {
				w.claim(client.Reply{Node: n.Name, By: client.ByARP, Sent: sent, Done: w.clock.Now()})
			}
		}
	}
}
