package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/perdure-ha/perdure/internal/lab/estate"
	"github.com/perdure-ha/perdure/internal/lab/outside"
	"github.com/perdure-ha/perdure/internal/lab/space"
)

// LUN is a logical unit of the SAN that every node sees.
type LUN struct {
	// Name is its name in the guests: /dev/mapper/NAME.
	Name string
	// MiB is its size; it is a hole until somebody writes.
	MiB int64
}

// LUNs are those of the SAN, by their numbers from 1.
func LUNs() []LUN {
	return []LUN{{"lun-data", 1024}, {"lun-data2", 1024}, {"lun-witness", 16}}
}

// wwid is what multipathd knows the n-th unit by: tgtd makes it of the numbers of
// target and unit. Source: its page 83h as sg_vpd shows it.
func wwid(number int) string { return fmt.Sprintf("360000000000000000e0000000001%04x", number) }

const (
	// SANTarget is the target's name.
	SANTarget = "iqn.2026-11.lab.perdure:san"
	// sanPort is the usual one of iSCSI.
	sanPort = 3260
	// sanStart bounds the target's start.
	sanStart = 20 * time.Second
)

// sanNetworks are the switches that have a portal.
var sanNetworks = []string{SANA, SANB}

// SANPortal is the target's address at one of the SAN's switches.
func SANPortal(network string) netip.AddrPort {
	return netip.AddrPortFrom(ip4(networkIndex(network), hostSAN), sanPort)
}

// san is an iSCSI target in the fabric.
type san struct {
	space  *space.Space
	link   *netlink.Handle
	daemon *exec.Cmd
	ended  chan struct{}
	socket string
	group  estate.Group
}

// newSAN starts the target. Its files are in dir.
func newSAN(ctx context.Context, fabric *site, dir string, group estate.Group) (s *san, err error) {
	if _, err := exec.LookPath("tgtd"); err != nil {
		return nil, fmt.Errorf("the SAN needs tgtd; install it by: apt-get install --no-install-recommends tgt: %w", err)
	}
	s = &san{socket: filepath.Join(dir, "san.socket"), group: group, ended: make(chan struct{})}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := group.Make(); err != nil {
		return s, err
	}
	if s.space, err = space.New(0, nil); err != nil {
		return s, fmt.Errorf("make the namespace of the SAN: %w", err)
	}
	if s.link, err = space.Handle(s.space); err != nil {
		return s, err
	}
	if err := space.StartLoopback(s.link); err != nil {
		return s, err
	}
	for i, network := range sanNetworks {
		index := networkIndex(network)
		err := fabric.plug(network, s.space, s.link, outside.Cable{Port: portName("san", network), Device: fmt.Sprintf("eth%d", i),
			MAC: mac(index, hostSAN), Addrs: []netip.Prefix{netip.PrefixFrom(ip4(index, hostSAN), prefixBits)}})
		if err != nil {
			return s, err
		}
	}
	return s, s.start(ctx, dir)
}

// start runs tgtd and makes the units.
func (s *san) start(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, sanStart)
	defer cancel()
	var portals []string
	for _, network := range sanNetworks {
		portals = append(portals, "portal="+SANPortal(network).String())
	}
	log, err := os.Create(filepath.Join(dir, "san.log"))
	if err != nil {
		return fmt.Errorf("start the SAN: %w", err)
	}
	defer log.Close()
	group, err := os.Open(string(s.group))
	if err != nil {
		return fmt.Errorf("start the SAN: %w", err)
	}
	defer group.Close()
	cmd := exec.Command("tgtd", "-f", "--iscsi", strings.Join(portals, ","))
	cmd.Env = append(os.Environ(), "TGT_IPC_SOCKET="+s.socket)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	if err := s.space.Do(cmd.Start); err != nil {
		return fmt.Errorf("start the SAN: %w", err)
	}
	estate.Rank(cmd.Process.Pid)
	s.daemon = cmd
	go func() {
		_ = cmd.Wait()
		close(s.ended)
	}()
	if err := s.await(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(text))
	}
	return s.furnish(ctx, dir)
}

// await waits until the daemon takes commands.
func (s *san) await(ctx context.Context) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := s.admin(ctx, "--op", "show", "--mode", "sys")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return errors.New("start the SAN: tgtd has ended")
		case <-ctx.Done():
			return fmt.Errorf("start the SAN: %w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// furnish makes the target and its units.
func (s *san) furnish(ctx context.Context, dir string) error {
	if err := s.admin(ctx, "--op", "new", "--mode", "target", "--tid", "1", "-T", SANTarget); err != nil {
		return err
	}
	for i, lun := range LUNs() {
		path, number := filepath.Join(dir, "san."+lun.Name+".raw"), strconv.Itoa(i+1)
		f, err := os.Create(path)
		if err == nil {
			err = errors.Join(f.Truncate(lun.MiB<<20), f.Close())
		}
		if err != nil {
			return fmt.Errorf("make %s: %w", path, err)
		}
		if err := s.admin(ctx, "--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", number, "-b", path); err != nil {
			return err
		}
		params := "vendor_id=PERDURE,product_id=LAB,scsi_sn=lab-" + number
		if err := s.admin(ctx, "--op", "update", "--mode", "logicalunit", "--tid", "1", "--lun", number, "--params", params); err != nil {
			return err
		}
	}
	return s.admin(ctx, "--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")
}

// admin gives the target a command.
func (s *san) admin(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "tgtadm", append([]string{"--lld", "iscsi"}, args...)...)
	cmd.Env = append(os.Environ(), "TGT_IPC_SOCKET="+s.socket)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("tgtadm %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// close ends the target.
func (s *san) close() {
	if s.daemon != nil {
		_ = s.daemon.Process.Kill()
		<-s.ended
	}
	if s.link != nil {
		s.link.Close()
	}
	if s.space != nil {
		s.space.Close()
	}
}
