package ip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

func code(err error) string {
	if e, ok := message.From(err); ok {
		return e.Code()
	}
	return fmt.Sprint(err)
}

func open(t *testing.T, settings ...string) *kit.Agent {
	t.Helper()
	m := map[string]string{}
	for i := 0; i < len(settings); i += 2 {
		m[settings[i]] = settings[i+1]
	}
	return kittest.Open(t, kittest.Host(t, false), Kit{}, m)
}

func want(t *testing.T, h kit.Health, status cluster.Status, code string) {
	t.Helper()
	if h.Status != status || h.Reason.Code != code {
		t.Errorf("health %v, want %s %s", h, status, code)
	}
}

func TestAddressComesAndGoes(t *testing.T) {
	for _, c := range []struct {
		name, setting, on string
		addr              netip.Addr
	}{
		{"IPv4", "192.0.2.10/24", "eth0/24", v4},
		{"IPv6", "2001:db8::12:3456", "eth0/64", v6},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, ctx := newWorld(t), kittest.Context(t)
			frames := w.listen(c.addr.Is4())
			a := open(t, "address", c.setting)
			want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.AddressAbsent)
			if h := a.Ready(ctx); h.Status != cluster.OutOfService || h.Reason.Code != "" {
				t.Errorf("readiness: %v", h)
			}
			if g, _, err := a.Guard(); err != nil || len(g) != 1 || g[0].Prefix.Addr() != c.addr || g[0].Device != "eth0" {
				t.Errorf("guard %v", g)
			}
			begun := time.Now()
			check(t, a.Start(ctx, cluster.ReleasedEvicted))
			took := time.Since(begun)
			if took > 200*time.Millisecond {
				t.Errorf("a takeover took %v", took)
			}
			if got := w.on(c.addr); got != c.on {
				t.Errorf("the address is on %q, want %s", got, c.on)
			}
			want(t, a.Check(ctx, kit.Deep), cluster.InService, "")
			announced := announces(c.addr, w.eth0.MAC, false)
			kittest.Eventually(t, "all announcements arrived", func() bool { return frames.count(announced) == len(announceAt) })
			kittest.Eventually(t, "as many in the form of replies", func() bool {
				return !c.addr.Is4() || frames.count(announces(c.addr, w.eth0.MAC, true)) == len(announceAt)
			})
			frames.mu.Lock()
			first := frames.all[0].at.Sub(begun)
			frames.mu.Unlock()
			t.Logf("start %v, first announcement at the peer after %v", took, first)
			a.Announce()
			kittest.Eventually(t, "announced again", func() bool { return frames.count(announced) > len(announceAt) })
			check(t, a.Start(ctx, ""))
			check(t, a.Stop(ctx))
			if got := w.on(c.addr); got != "" {
				t.Errorf("the address is on %q after the stop", got)
			}
			check(t, a.Stop(ctx))
			want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.AddressAbsent)
		})
	}
}

func TestDuplicateIsRefused(t *testing.T) {
	for name, addr := range map[string]string{"IPv4": "192.0.2.10/24", "IPv6": "2001:db8::12:3456/64"} {
		t.Run(name, func(t *testing.T) {
			w, ctx := newWorld(t), kittest.Context(t)
			w.peerAddress(addr)
			a := open(t, "address", addr)
			err := a.Start(ctx, "")
			if code(err) != message.AddressTaken {
				t.Fatalf("%v, want %s", err, message.AddressTaken)
			}
			e, _ := message.From(err)
			if e.Args()[1] != w.peerLink.MAC.String() {
				t.Errorf("%v, the peer is %v", err, w.peerLink.MAC)
			}
			if got := w.on(netip.MustParsePrefix(addr).Addr()); got != "" {
				t.Errorf("the address is on %q", got)
			}
			// The last owner is known to have let go: the question is not asked.
			begun := time.Now()
			check(t, a.Start(ctx, cluster.ReleasedStopped))
			if took := time.Since(begun); took > 200*time.Millisecond {
				t.Errorf("a takeover took %v", took)
			}
			check(t, a.Stop(ctx))
		})
	}
}

func TestFreshStartAsksFirst(t *testing.T) {
	w, ctx := newWorld(t), kittest.Context(t)
	frames := w.listen(true)
	a := open(t, "address", "192.0.2.10")
	check(t, a.Start(ctx, ""))
	kittest.Eventually(t, "three probes arrived", func() bool {
		return frames.count(func(f []byte) bool {
			p, err := decodeARP(f)
			return err == nil && p.Sender.IsUnspecified() && p.Target == v4
		}) >= 3
	})
	check(t, a.Stop(ctx))
}

func TestRemovedAddressIsNoticedAtOnce(t *testing.T) {
	w, ctx := newWorld(t), kittest.Context(t)
	a := open(t, "address", "192.0.2.10/24")
	events := kittest.Events(t, a)
	check(t, a.Start(ctx, cluster.ReleasedEvicted))
	l, err := netlink.LinkByName("eth0")
	check(t, err)
	removed := time.Now()
	check(t, netlink.AddrDel(l, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix("192.0.2.10/24"))}))
	e := kittest.Next(t, events)
	want(t, e.Health, cluster.Failed, message.AddressGone)
	if took := e.At.Sub(removed); took > 100*time.Millisecond {
		t.Errorf("noticed after %v, want less than 100 ms", took)
	} else {
		t.Logf("noticed after %v", took)
	}
	want(t, a.Check(ctx, kit.Light), cluster.Failed, message.AddressGone)
	check(t, a.Stop(ctx))
	check(t, a.Start(ctx, cluster.ReleasedStopped))
	if w.on(v4) == "" {
		t.Error("not there after the recovery")
	}
	check(t, a.Stop(ctx))
}

func TestLostLink(t *testing.T) {
	w, ctx := newWorld(t), kittest.Context(t)
	frames := w.listen(true)
	a := open(t, "address", "192.0.2.10/24", "devices", "eth0")
	events := kittest.Events(t, a)
	check(t, a.Start(ctx, cluster.ReleasedEvicted))
	w.unplug("port0")
	want(t, kittest.Next(t, events).Health, cluster.Failed, message.NoCarrier)
	want(t, a.Check(ctx, kit.Light), cluster.Failed, message.NoCarrier)
	announced := announces(v4, w.eth0.MAC, false)
	before := frames.count(announced)
	up(t, w.swtch, "port0")
	want(t, kittest.Next(t, events).Health, cluster.InService, "")
	kittest.Eventually(t, "announced again", func() bool { return frames.count(announced) > before })
	check(t, a.Stop(ctx))
}

func TestBackupDevice(t *testing.T) {
	for name, c := range map[string]struct {
		setting string
		addr    netip.Addr
	}{"IPv4": {"192.0.2.10/24", v4}, "IPv6": {"2001:db8::12:3456/64", v6}} {
		t.Run(name, func(t *testing.T) {
			w, ctx := newWorld(t), kittest.Context(t)
			frames := w.listen(c.addr.Is4())
			a := open(t, "address", c.setting, "devices", "eth0,eth1")
			events := kittest.Events(t, a)
			check(t, a.Start(ctx, cluster.ReleasedEvicted))
			cut := time.Now()
			w.unplug("port0")
			e := kittest.Next(t, events)
			want(t, e.Health, cluster.Degraded, message.MovedToBackup)
			if got := w.on(c.addr); got != "eth1/"+c.setting[len(c.setting)-2:] {
				t.Errorf("the address is on %q", got)
			}
			t.Logf("moved in %v", e.At.Sub(cut))
			kittest.Eventually(t, "announced there", func() bool { return frames.count(announces(c.addr, w.eth1.MAC, false)) > 0 })
			want(t, a.Check(ctx, kit.Deep), cluster.Degraded, message.MovedToBackup)
			// Both gone: for the planner.
			w.unplug("port1")
			want(t, kittest.Next(t, events).Health, cluster.Failed, message.NoCarrier)
			check(t, a.Stop(ctx))
			if err := a.Start(ctx, cluster.ReleasedStopped); code(err) != message.NoCarrier {
				t.Errorf("start without a link: %v", err)
			}
			up(t, w.swtch, "port1")
			kittest.Eventually(t, "the link is back", func() bool { return w.link("eth1").Carrier })
			check(t, a.Start(ctx, cluster.ReleasedStopped))
			want(t, a.Check(ctx, kit.Light), cluster.Degraded, message.MovedToBackup)
			check(t, a.Stop(ctx))
		})
	}
}

func TestContest(t *testing.T) {
	w, ctx := newWorld(t), kittest.Context(t)
	frames := w.listen(true)
	a := open(t, "address", "192.0.2.10/24")
	events := kittest.Events(t, a)
	check(t, a.Start(ctx, cluster.ReleasedEvicted))
	announced := announces(v4, w.eth0.MAC, false)
	kittest.Eventually(t, "the announcements of the start are over", func() bool { return frames.count(announced) == len(announceAt) })
	// A frozen owner that came back.
	w.within(func() {
		if err := newKernel().Send(w.peerLink, arpAnnounce(w.peerLink.MAC, v4)...); err != nil {
			t.Error(err)
		}
	})
	e := kittest.Next(t, events)
	want(t, e.Health, cluster.Degraded, message.AddressContested)
	if e.Health.Reason.Args[1] != w.peerLink.MAC.String() {
		t.Errorf("%v, the peer is %v", e.Health, w.peerLink.MAC)
	}
	kittest.Eventually(t, "announced again", func() bool { return frames.count(announced) > len(announceAt) })
	want(t, a.Check(ctx, kit.Light), cluster.Degraded, message.AddressContested)
	check(t, a.Stop(ctx))
}

func TestGateway(t *testing.T) {
	for name, c := range map[string][3]string{
		"IPv4": {"192.0.2.10/24", "192.0.2.2", "192.0.2.3"},
		"IPv6": {"2001:db8::12:3456/64", "2001:db8::2", "2001:db8::3"},
	} {
		t.Run(name, func(t *testing.T) {
			newWorld(t)
			ctx := kittest.Context(t)
			there := open(t, "address", c[0], "gateway", c[1])
			if h := there.Ready(ctx); h.Status != cluster.OutOfService || h.Reason.Code != "" {
				t.Errorf("readiness: %v", h)
			}
			check(t, there.Start(ctx, cluster.ReleasedEvicted))
			want(t, there.Check(ctx, kit.Deep), cluster.InService, "")
			check(t, there.Stop(ctx))
			silent := open(t, "address", c[0], "gateway", c[2])
			want(t, silent.Ready(ctx), cluster.Degraded, message.GatewaySilent)
			check(t, silent.Start(ctx, cluster.ReleasedEvicted))
			want(t, silent.Check(ctx, kit.Light), cluster.InService, "")
			want(t, silent.Check(ctx, kit.Deep), cluster.Degraded, message.GatewaySilent)
			check(t, silent.Stop(ctx))
			failed := open(t, "address", c[0], "gateway", c[2], "gateway.silent", "failed")
			check(t, failed.Start(ctx, cluster.ReleasedEvicted))
			want(t, failed.Check(ctx, kit.Deep), cluster.Failed, message.GatewaySilent)
			check(t, failed.Stop(ctx))
		})
	}
}

func TestRestartedDaemonAdopts(t *testing.T) {
	w, ctx := newWorld(t), kittest.Context(t)
	first := open(t, "address", "192.0.2.10/24", "devices", "eth0,eth1")
	if ok, err := first.Adopt(ctx); ok || err != nil {
		t.Errorf("adopted nothing: %v, %v", ok, err)
	}
	check(t, first.Start(ctx, cluster.ReleasedEvicted))
	check(t, first.Close())
	if w.on(v4) != "eth0/24" {
		t.Fatal("close took the address away")
	}
	second := open(t, "address", "192.0.2.10/24", "devices", "eth0,eth1")
	want(t, second.Check(ctx, kit.Light), cluster.Failed, message.AddressForeign)
	want(t, second.Ready(ctx), cluster.Failed, message.AddressForeign)
	if ok, err := second.Adopt(ctx); !ok || err != nil {
		t.Fatalf("adopt: %v, %v", ok, err)
	}
	want(t, second.Check(ctx, kit.Light), cluster.InService, "")
	check(t, second.Close())
	third := open(t, "address", "192.0.2.10/24", "devices", "eth0,eth1")
	check(t, third.Stop(ctx))
	if w.on(v4) != "" {
		t.Error("a stop without adoption left the address")
	}
}

func TestStartFails(t *testing.T) {
	w, ctx := newWorld(t), kittest.Context(t)
	for _, c := range []struct {
		name, code string
		unplaced   bool // there is no device to guard it on
		settings   []string
		before     func()
	}{
		{"no such device", message.DeviceMissing, true, []string{"address", "192.0.2.10", "devices", "eth9"}, nil},
		{"no network for it", message.NoDeviceForAddress, true, []string{"address", "198.51.100.7"}, nil},
		{"the address is elsewhere on the node", message.AddressForeign, false, []string{"address", "192.0.2.50/24", "devices", "eth0"},
			func() { w.address("eth1", "192.0.2.50/24") }},
		{"the device is off", message.DeviceDown, false, []string{"address", "192.0.2.10/24", "devices", "eth1"}, func() {
			l, err := netlink.LinkByName("eth1")
			check(t, err)
			check(t, netlink.LinkSetDown(l))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != nil {
				c.before()
			}
			a := open(t, c.settings...)
			if err := a.Start(ctx, ""); code(err) != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
			if _, _, err := a.Guard(); c.unplaced && code(err) != c.code {
				t.Errorf("guard: %v, want %s", err, c.code)
			}
		})
	}
}

func TestVanishedDevice(t *testing.T) {
	w, ctx := newWorld(t), kittest.Context(t)
	w.address("eth1", "192.0.2.3/24")
	a := open(t, "address", "192.0.2.10", "devices", "eth0,eth1")
	events := kittest.Events(t, a)
	check(t, a.Start(ctx, cluster.ReleasedEvicted))
	l, err := netlink.LinkByName("eth0")
	check(t, err)
	check(t, netlink.LinkDel(l))
	want(t, kittest.Next(t, events).Health, cluster.Degraded, message.MovedToBackup)
	if got := w.on(v4); got != "eth1/24" {
		t.Errorf("the address is on %q", got)
	}
	if err := a.Validate(ctx); code(err) != message.DeviceMissing {
		t.Errorf("%v, want %s", err, message.DeviceMissing)
	}
	check(t, a.Stop(ctx))
	if got := w.on(v4); got != "" {
		t.Errorf("the address is on %q after the stop", got)
	}
}
