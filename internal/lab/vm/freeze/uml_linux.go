package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

const (
	umlBinary  = "linux.uml"
	umlModules = "/usr/lib/uml/modules"
)

// uml measures user-mode-linux, which only SIGSTOP can stop. It is started here
// by hand. Debian's kernel for it has no nftables family that the gate could use
// (inet, arp and netdev are off), so the clocks alone are measured.
func (p *plan) uml(ctx context.Context) error {
	if _, err := exec.LookPath(umlBinary); err != nil {
		fmt.Println("SKIPPED: user-mode-linux is not there,", err)
		return nil
	}
	program, err := p.program(ctx)
	if err != nil {
		return err
	}
	initrd := filepath.Join(p.dir, "initrd-uml")
	if err := tinyguest.BuildInitrd(ctx, initrd, umlModules, program, nil); err != nil {
		return err
	}
	wire, err := tinyguest.NewWire(hostAddress, guestIP)
	if err != nil {
		return err
	}
	defer wire.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	control, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.dir, "uml.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(umlBinary, "mem=192M", "umid=freeze", "uml_dir="+p.dir, "initrd="+initrd, "con=null", "con0=null,fd:1",
		"ssl=null", "ssl0=fd:3,fd:3", "ctl=ttyS0", "raid6.benchmark=0", "quiet")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = log, log
	if err := wire.Start(cmd); err != nil {
		return err
	}
	theirs.Close()
	defer cmd.Wait()
	defer cmd.Process.Kill()
	guest := tinyguest.NewConn(control)
	defer guest.Close()
	up, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := guest.Up(up); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w: %s", err, text)
	}
	signal := func(s syscall.Signal) func(context.Context) error {
		return func(context.Context) error { return cmd.Process.Signal(s) }
	}
	return p.measureSubject(ctx, subject{"UML SIGSTOP", guest, nil, signal(syscall.SIGSTOP), signal(syscall.SIGCONT)})
}
