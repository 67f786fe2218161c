package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/qemu"
	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

const (
	dogTimeout = 6 * time.Second
	dogStop    = 20 * time.Second
)

// measureDogs arms a watchdog, stops the machine, and looks when it fires.
func (p *plan) measureDogs(ctx context.Context, c machine.Config, program string) error {
	for _, dog := range []string{"i6300esb", "softdog"} {
		modules := slices.DeleteFunc(slices.Clone(tinyguest.Modules), func(m string) bool { return m == "i6300esb" })
		c.Watchdog = dog == "i6300esb"
		c.Initrd = filepath.Join(p.dir, "initrd-"+dog)
		err := tinyguest.BuildInitrd(ctx, c.Initrd, p.modules, program, append(modules, dog))
		if err != nil {
			return err
		}
		for _, way := range []string{"none", "QMP stop", "SIGSTOP"} {
			for range p.dogs {
				if err := measureDog(ctx, c, dog, way); err != nil {
					return fmt.Errorf("%s with %s: %w", dog, way, err)
				}
			}
		}
	}
	return nil
}

func measureDog(ctx context.Context, c machine.Config, dog, way string) error {
	m, err := qemu.New(c)
	if err != nil {
		return err
	}
	defer m.PowerOff(context.WithoutCancel(ctx))
	guest, err := boot(ctx, m)
	if err != nil {
		return err
	}
	defer guest.Close()
	a, err := ask(ctx, guest, tinyguest.Request{Do: "arm", Device: "/dev/watchdog0", Millis: dogTimeout.Milliseconds()})
	if err != nil {
		return err
	}
	armed := time.Now()
	halt := map[string]func(context.Context) error{"QMP stop": m.Suspend, "SIGSTOP": m.Pause}[way]
	continued := armed
	if halt != nil {
		if err := halt(ctx); err != nil {
			return err
		}
		ran := time.Since(armed)
		select {
		case <-m.Done():
			fmt.Printf("%s, %s: %s DURING the stop\n", a.Text, way, m.Ended())
			return nil
		case <-time.After(dogStop):
		}
		continued = time.Now()
		if err := m.Continue(ctx); err != nil && !errors.Is(err, machine.ErrOff) {
			fmt.Println("  continue:", err) // it may end at once
		}
		fmt.Printf("  stopped %v after it was armed; ", ms(ran))
	}
	select {
	case <-m.Done():
		fmt.Printf("%s (%s), %s: %q %v after it went on\n", dog, a.Text, way, m.Ended(), ms(time.Since(continued)))
	case <-time.After(3 * dogTimeout):
		fmt.Printf("%s (%s), %s: NOT within %v\n", dog, a.Text, way, 3*dogTimeout)
	}
	return nil
}
