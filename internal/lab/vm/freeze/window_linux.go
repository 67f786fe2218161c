package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

const (
	hostAddress  = "192.0.2.254/24"
	guestAddress = "192.0.2.1"
	// settle is how long the guest is left alone before a measurement (s).
	settle = 1 * time.Second
)

var guestIP = net.ParseIP(guestAddress)

// subject is a running guest with one way to stop it.
type subject struct {
	way        string
	guest      *tinyguest.Conn
	wire       *tinyguest.Wire // nil: no gate, the clocks alone are measured
	halt, cont func(context.Context) error
}

// reading is one stop.
type reading struct {
	// host is between the two readings of the guest's clocks, by the host's clock.
	host time.Duration
	// boot, mono, real are how far the guest's clocks advanced in that time.
	boot, mono, real time.Duration
	// ran is from the gate's opening to the stop.
	ran time.Duration
	// answered is from the continuation to the last answer; negative if there was
	// none. late is how many answers there were after it.
	answered time.Duration
	late     int
	// newest is from the continuation to the sending of the newest request that
	// was answered: what had waited in the tap does not count.
	newest time.Duration
}

func (p *plan) measureSubject(ctx context.Context, s subject) error {
	if err := s.guest.Up(ctx); err != nil {
		return err
	}
	if s.wire == nil {
		for _, stop := range p.stops {
			if err := p.series(ctx, s, stop, 0); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := ask(ctx, s.guest, tinyguest.Request{Do: "net", Device: "eth0", Address: guestAddress + "/24"}); err != nil {
		return err
	}
	for _, stop := range p.stops {
		if err := p.series(ctx, s, stop, balanced); err != nil {
			return err
		}
	}
	for _, w := range p.windows {
		if w != balanced {
			if err := p.series(ctx, s, 5*time.Second, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// series repeats one stop and prints a row.
func (p *plan) series(ctx context.Context, s subject, stop, window time.Duration) error {
	var all []reading
	for range p.repeat {
		r, err := s.measure(ctx, stop, window)
		if err != nil {
			return fmt.Errorf("%s of %v: %w", s.way, stop, err)
		}
		fmt.Printf("  %-9s stop %v window %v: host %v boot %v mono %v real %v; ran %v, answered until %v (%d), newest %v\n", s.way, stop, window,
			ms(r.host), ms(r.boot), ms(r.mono), ms(r.real), ms(r.ran), ms(r.answered), r.late, ms(r.newest))
		all = append(all, r)
	}
	column := func(f func(reading) time.Duration) string {
		var v []time.Duration
		for _, r := range all {
			v = append(v, f(r))
		}
		return spread(v)
	}
	fmt.Printf("| %s | %v | %v | %s | %s | %s | %s | %s | %s |\n", s.way, stop, window,
		column(func(r reading) time.Duration { return r.host - r.boot }),
		column(func(r reading) time.Duration { return r.host - r.mono }),
		column(func(r reading) time.Duration { return r.host - r.real }),
		column(func(r reading) time.Duration { return r.ran }),
		column(func(r reading) time.Duration { return r.answered }),
		column(func(r reading) time.Duration { return r.ran + r.answered }))
	return nil
}

// spread is median (least … most) in ms.
func spread(v []time.Duration) string {
	slices.Sort(v)
	return fmt.Sprintf("%d (%d … %d)", v[len(v)/2].Milliseconds(), v[0].Milliseconds(), v[len(v)-1].Milliseconds())
}

func ms(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func (s subject) measure(ctx context.Context, stop, window time.Duration) (reading, error) {
	if err := wait(ctx, settle); err != nil {
		return reading{}, err
	}
	before, began, err := clocks(ctx, s.guest)
	if err != nil {
		return reading{}, err
	}
	opened, since := time.Now(), func(time.Time) (last, newest time.Duration, count int) { return -1, -1, 0 }
	if s.wire != nil {
		prober, err := newProber(s.wire)
		if err != nil {
			return reading{}, err
		}
		defer prober.close()
		since = prober.since
		if _, err := ask(ctx, s.guest, tinyguest.Request{Do: "gate", Device: "eth0", Address: guestAddress, Millis: window.Milliseconds()}); err != nil {
			return reading{}, err
		}
		opened = time.Now()
		if err := prober.wait(ctx); err != nil {
			return reading{}, err
		}
	}
	if err := s.halt(ctx); err != nil {
		return reading{}, err
	}
	halted := time.Now()
	if err := wait(ctx, stop); err != nil {
		return reading{}, err
	}
	continued := time.Now()
	if err := s.cont(ctx); err != nil {
		return reading{}, err
	}
	if err := wait(ctx, window+time.Second); err != nil {
		return reading{}, err
	}
	after, ended, err := clocks(ctx, s.guest)
	if err != nil {
		return reading{}, err
	}
	r := reading{
		host: ended.Sub(began), ran: halted.Sub(opened),
		boot: time.Duration(after.Boottime - before.Boottime),
		mono: time.Duration(after.Monotonic - before.Monotonic),
		real: time.Duration(after.Realtime - before.Realtime),
	}
	r.answered, r.newest, r.late = since(continued)
	return r, nil
}

// clocks reads the guest's clocks; the time is the middle of the exchange.
func clocks(ctx context.Context, guest *tinyguest.Conn) (tinyguest.Answer, time.Time, error) {
	begin := time.Now()
	a, err := ask(ctx, guest, tinyguest.Request{Do: "clocks"})
	return a, begin.Add(time.Since(begin) / 2), err
}

func ask(ctx context.Context, guest *tinyguest.Conn, q tinyguest.Request) (tinyguest.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return guest.Ask(ctx, q)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rtc says whether the clock on the board went on when the machine was stopped.
func rtc(ctx context.Context, s subject) error {
	const stop = 5 * time.Second
	gap := func() (int64, string, error) {
		a, err := ask(ctx, s.guest, tinyguest.Request{Do: "rtc"})
		if err != nil {
			return 0, "", err
		}
		c, _, err := clocks(ctx, s.guest)
		return a.RTC - c.Realtime/int64(time.Second), a.Text, err
	}
	before, text, err := gap()
	if err != nil {
		return err
	}
	if err := s.halt(ctx); err != nil {
		return err
	}
	if err := wait(ctx, stop); err != nil {
		return err
	}
	if err := s.cont(ctx); err != nil {
		return err
	}
	after, _, err := gap()
	fmt.Printf("%s of %v: RTC ahead of REALTIME by %d s before, %d s after; %s\n\n", s.way, stop, before, after, text)
	return err
}
