package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/qemu"
	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

func main() {
	if os.Getpid() == 1 {
		tinyguest.Main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "freeze:", err)
		os.Exit(1)
	}
}

// plan is what is measured.
type plan struct {
	stops   durations
	windows durations
	repeat  int
	dogs    int
	kinds   string
	dir     string
	kernel  tinyguest.Kernel
	modules string // the directory
}

type durations []time.Duration

func (d *durations) String() string { return fmt.Sprint([]time.Duration(*d)) }

func (d *durations) Set(text string) error {
	*d = nil
	for s := range strings.SplitSeq(text, ",") {
		v, err := time.ParseDuration(s)
		if err != nil {
			return err
		}
		*d = append(*d, v)
	}
	return nil
}

// balanced is the gate's window at the default detection time (D − G).
const balanced = 2250 * time.Millisecond

func run(ctx context.Context) error {
	p := plan{
		stops:   durations{time.Second, 5 * time.Second, 20 * time.Second},
		windows: durations{450 * time.Millisecond, balanced, 9 * time.Second},
	}
	flag.Var(&p.stops, "stops", "how long the machine is stopped")
	flag.Var(&p.windows, "windows", "windows of the gate that are measured beside the default one, at a stop of 5s")
	flag.IntVar(&p.repeat, "n", 5, "repetitions of each stop")
	flag.IntVar(&p.dogs, "dogs", 3, "repetitions of each watchdog")
	flag.StringVar(&p.kinds, "kinds", "qemu,uml", "kinds of machine")
	flag.Parse()
	if err := qemu.Available(); err != nil {
		fmt.Println("SKIPPED: nothing is measured,", err)
		return nil
	}
	var err error
	if p.kernel, err = tinyguest.FindKernel(); err != nil {
		fmt.Println("SKIPPED: nothing is measured,", err)
		return nil
	}
	if p.dir, err = os.MkdirTemp("", "perdure-freeze-"); err != nil {
		return err
	}
	defer os.RemoveAll(p.dir)
	if strings.Contains(p.kinds, "qemu") {
		if err := p.qemu(ctx); err != nil {
			return err
		}
	}
	if strings.Contains(p.kinds, "uml") {
		return p.uml(ctx)
	}
	return nil
}

// program is the guest: this very program, without cgo.
func (p *plan) program(ctx context.Context) (string, error) {
	path := filepath.Join(p.dir, "init")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/perdure-ha/perdure/internal/lab/vm/freeze")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the guest: %w: %s", err, out)
	}
	return path, nil
}

func (p *plan) qemu(ctx context.Context) error {
	program, err := p.program(ctx)
	if err != nil {
		return err
	}
	image, err := tinyguest.Build(ctx, p.dir, p.kernel, program, tinyguest.Modules)
	if err != nil {
		return err
	}
	p.modules = image.Modules
	wire, err := tinyguest.NewWire(hostAddress, guestIP)
	if err != nil {
		return err
	}
	defer wire.Close()
	c := machine.Config{
		Name: "freeze", MemoryMiB: 192, Kernel: image.Kernel, Initrd: image.Initrd, Watchdog: true,
		NICs: []machine.NIC{{Name: "wire", Tap: tinyguest.Tap, MAC: tinyguest.MAC}},
		Dir:  p.dir, Start: wire.Start,
	}
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
	fmt.Printf("kernel %s, %s\n\n", p.kernel.Release, time.Now().UTC().Format(time.DateOnly))
	for _, s := range []subject{
		{"QMP stop", guest, wire, m.Suspend, m.Continue},
		{"SIGSTOP", guest, wire, m.Pause, m.Continue},
	} {
		if err := p.measureSubject(ctx, s); err != nil {
			return err
		}
		if err := rtc(ctx, s); err != nil {
			return err
		}
	}
	if err := m.PowerOff(ctx); err != nil {
		return err
	}
	return p.measureDogs(ctx, c, program)
}

func boot(ctx context.Context, m *qemu.Machine) (*tinyguest.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := m.Boot(ctx); err != nil {
		return nil, err
	}
	guest := tinyguest.NewConn(m.Control())
	return guest, guest.Up(ctx)
}
