package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/perdure-ha/perdure/internal/lab/estate"
	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/operator"
	"github.com/perdure-ha/perdure/internal/lab/outside"
)

// Lab is a running process lab.
type Lab struct {
	opts   Options
	dir    string
	cg     estate.Group
	nodes  []*Node
	fabric *fabric
	// op is the person at the cluster; nil before it is built.
	op      *operator.Cluster
	outside *outside.Outside

	estate  *estate.Estate
	closing sync.Once
	closed  error
}

// A Lab can do everything that the vocabulary of faults knows.
var (
	_ fault.Power     = (*Lab)(nil)
	_ fault.Freezer   = (*Lab)(nil)
	_ fault.Network   = (*Lab)(nil)
	_ fault.Links     = (*Lab)(nil)
	_ fault.Processes = (*Lab)(nil)
	_ fault.Daemons   = (*Lab)(nil)
	_ fault.State     = (*Lab)(nil)
	_ fault.Switcher  = (*Lab)(nil)
	_ fault.Members   = (*Lab)(nil)
)

// Usable says why no lab can be made here; nil: one can.
func Usable() error {
	if os.Geteuid() != 0 {
		return errors.New("namespaces, cgroups and nftables need root")
	}
	if _, err := estate.Mount(); err != nil {
		return err
	}
	f, err := newFabric([]string{"probe"})
	if err != nil {
		return err
	}
	f.close()
	return nil
}

// New builds a lab and boots all its nodes. The caller must Close it. What labs
// of dead processes left is removed first.
func New(ctx context.Context, opts Options) (lab *Lab, err error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("the process lab needs root for namespaces and cgroups: run it with sudo")
	}
	owned, err := estate.Claim()
	if err != nil {
		return nil, err
	}
	lab = &Lab{opts: opts, estate: owned, dir: owned.Dir, cg: owned.Group}
	defer func() {
		if err != nil {
			err = errors.Join(err, lab.Close())
			lab = nil
		}
	}()
	if lab.fabric, err = newFabric(opts.Networks); err != nil {
		return lab, err
	}
	for i, name := range opts.Nodes {
		lab.nodes = append(lab.nodes, &Node{Name: name, lab: lab, host: hostNode + i,
			dir: filepath.Join(lab.dir, name), cg: estate.Group(filepath.Join(string(lab.cg), name))})
	}
	if err = lab.lookFromOutside(); err != nil {
		return lab, err
	}
	for _, n := range lab.nodes {
		if err = n.powerOn(ctx); err != nil {
			return lab, err
		}
	}
	return lab, nil
}

// Close switches everything off and leaves nothing behind, except the directory
// if Options.Keep asked for it. It may be called again.
func (l *Lab) Close() error {
	l.closing.Do(func() { l.closed = l.close() })
	return l.closed
}

func (l *Lab) close() error {
	var errs []error
	for _, n := range l.nodes {
		if n.On() {
			errs = append(errs, n.powerOff(context.Background()))
		}
	}
	if l.outside != nil {
		l.outside.Close()
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

// Dir is the lab's directory.
func (l *Lab) Dir() string { return l.dir }

// KeptDir is where the directory will be after Close if Options.Keep asked for
// it; empty if it won't be.
func (l *Lab) KeptDir() string {
	if !l.opts.Keep {
		return ""
	}
	return l.estate.KeptDir()
}

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
	length := 24
	if l.opts.IPv6 {
		length = 64
	}
	return netip.PrefixFrom(l.opts.ip(0, hostVIP), length)
}

// Service is where the outside client asks.
func (l *Lab) Service() netip.AddrPort {
	return netip.AddrPortFrom(l.VIP().Addr(), l.opts.Port)
}

func (l *Lab) networkIndex(network string) int {
	return slices.Index(l.opts.Networks, network)
}

// networks returns the named network, or all for the empty name.
func (l *Lab) networks(name string) ([]string, error) {
	if name == "" {
		return l.opts.Networks, nil
	}
	if l.networkIndex(name) < 0 {
		return nil, fmt.Errorf("the lab has no network %q: the networks are %v", name, l.opts.Networks)
	}
	return []string{name}, nil
}
