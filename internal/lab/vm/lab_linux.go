package vm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/perdure-ha/perdure/internal/lab/estate"
	"github.com/perdure-ha/perdure/internal/lab/operator"
	"github.com/perdure-ha/perdure/internal/lab/outside"
	"github.com/perdure-ha/perdure/internal/lab/space"
	"github.com/perdure-ha/perdure/internal/lab/vm/agent"
	"github.com/perdure-ha/perdure/internal/lab/vm/image"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// Lab is a running lab.
type Lab struct {
	opts   Options
	kind   kind
	estate *estate.Estate
	dir    string
	images image.Images
	initrd string

	fabric  *site
	hosts   []*Host
	nodes   []*Node
	outside *outside.Outside
	// op is the person at the cluster; nil before it is built.
	op  *operator.Cluster
	web *web
	// san and nas are nil without storage.
	san *san
	nas *Node

	closing sync.Once
	closed  error
}

// web is the protected server.
type web struct{ resource string }

// servicePort is the protected service's.
const servicePort = 80

// Usable says why no lab can be made here; nil: one can, as far as can be said
// without making one.
func Usable(k Kind) error {
	if os.Geteuid() != 0 {
		return errors.New("namespaces, taps and images need root: run it with sudo")
	}
	if err := image.Missing([]image.Kind{image.Kind(k)}); err != nil {
		return err
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("no /dev/net/tun for the machines' network cards: modprobe tun: %w", err)
	}
	probe, err := newSite("probe")
	if err != nil {
		return err
	}
	probe.close()
	return nil
}

// New makes the lab and boots all its nodes. The caller must Close it.
func New(ctx context.Context, opts Options) (lab *Lab, err error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	if err := Usable(opts.Kind); err != nil {
		return nil, err
	}
	if err := checkStatic(opts.Perdure); err != nil {
		return nil, err
	}
	if err := Room(opts); err != nil {
		return nil, err
	}
	// One root serves every kind.
	images, err := image.Make(ctx, image.Options{Dir: opts.Cache, Progress: func(p image.Progress) { opts.Say("image: " + p.String()) }})
	if err != nil {
		return nil, err
	}
	owned, err := estate.Claim()
	if err != nil {
		return nil, err
	}
	lab = &Lab{opts: opts, kind: kindOf(opts.Kind), images: images, estate: owned, dir: owned.Dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, lab.Close())
			lab = nil
		}
	}()
	lab.initrd = filepath.Join(lab.dir, "initrd.cpio")
	if err := image.WriteInitrd(lab.initrd, opts.Perdure, lab.images.Modules[image.Kind(opts.Kind)]); err != nil {
		return lab, err
	}
	if err := lab.makeNetwork(); err != nil {
		return lab, err
	}
	for i, name := range opts.Nodes {
		n := &Node{Name: name, lab: lab, number: hostNode + i, dir: filepath.Join(lab.dir, name), host: lab.hosts[i%len(lab.hosts)], networks: Networks(),
			group: estate.Group(filepath.Join(string(owned.Group), name))}
		if err := os.MkdirAll(n.dir, 0o700); err != nil {
			return lab, err
		}
		n.disk = filepath.Join(n.dir, "state.raw")
		if err := makeDisk(ctx, n.stateDisk(), opts.diskMiB()); err != nil {
			return lab, err
		}
		lab.nodes = append(lab.nodes, n)
	}
	if err := lab.lookFromOutside(); err != nil {
		return lab, err
	}
	if opts.Storage {
		opts.Say("start SAN and NAS")
		if lab.san, err = newSAN(ctx, lab.fabric, lab.dir, estate.Group(filepath.Join(string(owned.Group), "san"))); err != nil {
			lab.san = nil
			return lab, err
		}
		if err := lab.newNAS(ctx); err != nil {
			return lab, err
		}
	}
	opts.Say(fmt.Sprintf("boot %s", strings.Join(opts.Nodes, ", ")))
	return lab, lab.each(ctx, lab.nodes, (*Node).powerOn)
}

// each does something to several nodes at the same time.
func (l *Lab) each(ctx context.Context, nodes []*Node, do func(*Node, context.Context) error) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { errs[i] = do(n, ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// makeNetwork makes switches, hosts and the uplinks between them.
func (l *Lab) makeNetwork() (err error) {
	if l.fabric, err = newSite("fabric"); err != nil {
		return err
	}
	for _, name := range l.opts.Hosts {
		s, err := newSite(name)
		if err != nil {
			return err
		}
		l.hosts = append(l.hosts, &Host{site: s})
		if err := l.fabric.uplink(s); err != nil {
			return err
		}
	}
	return nil
}

// starter starts the node's processes on a host: in its namespace, in a session of
// their own, in the node's cgroup, and dying with the lab.
func (n *Node) starter(h *Host) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error {
		group, err := os.Open(string(n.group))
		if err != nil {
			return fmt.Errorf("open the cgroup of %s: %w", n.Name, err)
		}
		defer group.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(group.Fd())}
		if err := h.space.Do(cmd.Start); err != nil {
			return err
		}
		estate.Rank(cmd.Process.Pid)
		return nil
	}
}

func (l *Lab) lookFromOutside() (err error) {
	public := networkIndex(Public)
	var seen []outside.Node
	for i, n := range l.nodes {
		seen = append(seen, outside.Node{Name: n.Name, MAC: mac(public, n.number),
			Probe: ip4(public, hostProbe+i), ProbeMAC: mac(public, hostProbe+i)})
	}
	l.outside, err = outside.New(outside.Config{
		Plug: func(s *space.Space, link *netlink.Handle, c outside.Cable) error {
			return l.fabric.plug(Public, s, link, c)
		},
		Service: l.Service(), ClientMAC: mac(public, hostOut), Nodes: seen,
		ClientAddrs: []netip.Prefix{netip.PrefixFrom(ip4(public, hostOut), prefixBits), netip.PrefixFrom(ip6(public, hostOut), 64)},
	})
	return err
}

// makeDisk makes a disk with an empty file system.
func makeDisk(ctx context.Context, path string, mib int64) error {
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(f.Truncate(mib<<20), f.Close())
	}
	if err != nil {
		return fmt.Errorf("make disk %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, actWait)
	defer cancel()
	out, err := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-E", "lazy_itable_init=1,nodiscard", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a file system on %s: %w: %s", path, err, out)
	}
	return nil
}

// Room refuses a lab that would make the machine swap or kill, or fill its disk.
func Room(o Options) error {
	o = o.withDefaults()
	if err := enoughMemory(o); err != nil {
		return err
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(os.TempDir(), &fs); err != nil {
		return fmt.Errorf("look for free space in %s: %w", os.TempDir(), err)
	}
	// Disks are mostly holes; a saved state and a snapshot may come beside each.
	free, need := fs.Bavail*uint64(fs.Bsize)>>20, uint64(int64(len(o.Nodes))*o.diskMiB())
	if o.Storage {
		need += nasDiskMiB
		for _, lun := range LUNs() {
			need += uint64(lun.MiB)
		}
	}
	if free < need {
		return fmt.Errorf("a lab of %d machines may need %d MiB in %s, and %d MiB are free: free some, or name another place by TMPDIR",
			len(o.Nodes), need, os.TempDir(), free)
	}
	return nil
}

// enoughMemory refuses what wouldn't fit in memory.
func enoughMemory(o Options) error {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return os.NewSyscallError("sysinfo", err)
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	available := int64(0)
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &available); err == nil {
			break
		}
	}
	machines := len(o.Nodes)
	if o.Storage {
		machines++
	}
	need := int64(machines*(o.MemoryMiB+128)) << 10
	if available != 0 && available < need {
		return fmt.Errorf("a lab of %d machines needs about %d MiB of memory, and %d MiB are available: end something, or use fewer nodes",
			machines, need>>10, available>>10)
	}
	return nil
}

// Close switches everything off and leaves nothing behind, except the directory
// if Options.Keep asked for it. It may be called again.
func (l *Lab) Close() error {
	l.closing.Do(func() { l.closed = l.close() })
	return l.closed
}

func (l *Lab) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), actWait)
	defer cancel()
	var errs []error
	if l.opts.Keep {
		l.keepLogs(ctx)
	}
	machines := slices.Clone(l.nodes)
	if l.nas != nil {
		machines = append(machines, l.nas)
	}
	errs = append(errs, l.each(ctx, slices.DeleteFunc(machines, func(n *Node) bool { return !n.On() }), (*Node).powerOff))
	if l.san != nil {
		l.san.close()
	}
	if l.outside != nil {
		l.outside.Close()
	}
	for _, h := range l.hosts {
		h.close()
	}
	if l.fabric != nil {
		l.fabric.close()
	}
	errs = append(errs, l.estate.Release(l.opts.Keep))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the lab: %w", err)
	}
	return nil
}

// keepLogs copies what is worth reading out of the guests.
func (l *Lab) keepLogs(ctx context.Context) {
	for _, n := range l.nodes {
		a, err := n.Agent()
		if err != nil {
			continue
		}
		reading, cancel := context.WithTimeout(ctx, 5*time.Second)
		// What can't be read any more is no reason to stay open.
		text, err := a.Read(reading, perdureLog)
		if l.opts.Systemd {
			var said string
			said, err = a.Run(reading, "journalctl", "-o", "cat", "-u", "perdure.service")
			text = []byte(said)
		}
		if err == nil {
			_ = os.WriteFile(filepath.Join(n.dir, "perdure.log"), text, 0o600)
		}
		cancel()
	}
}

// KeptDir is where the directory is after Close if Options.Keep asked for it;
// empty if it won't be.
func (l *Lab) KeptDir() string {
	if !l.opts.Keep {
		return ""
	}
	return l.estate.KeptDir()
}

// Kind is that of the machines.
func (l *Lab) Kind() Kind { return l.opts.Kind }

// Dir is the lab's directory.
func (l *Lab) Dir() string { return l.dir }

// Nodes returns the nodes in the order of the options.
func (l *Lab) Nodes() []*Node { return slices.Clone(l.nodes) }

// Node returns a node by name.
func (l *Lab) Node(name string) (*Node, error) {
	for _, n := range l.nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("the lab has no node %q: the nodes are %v", name, l.opts.Nodes)
}

// VIP is the protected service's address and its network.
func (l *Lab) VIP() netip.Prefix {
	return netip.PrefixFrom(ip4(networkIndex(Public), hostVIP), prefixBits)
}

// Service is where the outside client asks.
func (l *Lab) Service() netip.AddrPort { return netip.AddrPortFrom(l.VIP().Addr(), servicePort) }

// Outside is who looks at the lab's cluster.
func (l *Lab) Outside() *outside.Outside { return l.outside }

func (l *Lab) siteOf(n *Node) agent.Web {
	return agent.Web{Resource: l.web.resource, FailStart: n.failStart, Site: webserver.Site{Node: n.Name, Listen: l.Service(), Dir: agent.WebDir}}
}
