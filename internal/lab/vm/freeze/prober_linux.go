package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

// probeEvery is how often the guest's address is asked. The tap keeps 1000 frames
// while the machine stands.
const probeEvery = 5 * time.Millisecond

// prober asks the guest's address over and over.
type prober struct {
	conn *net.UDPConn
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	sent    []time.Time
	answers []probe
	first   chan struct{} // closed at the first answer
}

type probe struct{ sent, answered time.Time }

func newProber(w *tinyguest.Wire) (*prober, error) {
	p := &prober{stop: make(chan struct{}), first: make(chan struct{})}
	err := w.Inside(func() error {
		var err error
		p.conn, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: guestIP, Port: tinyguest.EchoPort})
		return err
	})
	if err != nil {
		return nil, err
	}
	p.done.Go(p.send)
	p.done.Go(p.receive)
	return p, nil
}

func (p *prober) send() {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		p.mu.Lock()
		n := len(p.sent)
		p.sent = append(p.sent, time.Now())
		p.mu.Unlock()
		_, _ = p.conn.Write(binary.BigEndian.AppendUint32(nil, uint32(n)))
		select {
		case <-tick.C:
		case <-p.stop:
			return
		}
	}
}

func (p *prober) receive() {
	buffer := make([]byte, 64)
	for {
		n, err := p.conn.Read(buffer)
		now := time.Now()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != 4 {
			continue
		}
		p.mu.Lock()
		if i := binary.BigEndian.Uint32(buffer); int(i) < len(p.sent) {
			if len(p.answers) == 0 {
				close(p.first)
			}
			p.answers = append(p.answers, probe{p.sent[i], now})
		}
		p.mu.Unlock()
	}
}

// wait waits for the first answer: the gate is open.
func (p *prober) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	select {
	case <-p.first:
		return nil
	case <-ctx.Done():
		return errors.New("the address doesn't answer though its gate was opened")
	}
}

// since is what was answered after a moment: how long after it the last answer
// came and the newest answered request was sent (−1 ms: none), and how many.
func (p *prober) since(moment time.Time) (last, newest time.Duration, count int) {
	last, newest = -time.Millisecond, -time.Millisecond
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.answers {
		if a.answered.After(moment) {
			count++
			last = max(last, a.answered.Sub(moment))
			newest = max(newest, a.sent.Sub(moment))
		}
	}
	return last, newest, count
}

func (p *prober) close() {
	close(p.stop)
	p.conn.Close()
	p.done.Wait()
}
