package netns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/perdure-ha/perdure/internal/lab/outside"
)

// PowerOff takes a node's power away.
func (l *Lab) PowerOff(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return n.powerOff(ctx)
}

// PowerOn boots a node.
func (l *Lab) PowerOn(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return n.powerOn(ctx)
}

// Freeze stops a node's userland; its kernel goes on.
func (l *Lab) Freeze(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return n.freeze(ctx, true)
}

// Thaw continues it.
func (l *Lab) Thaw(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return n.freeze(ctx, false)
}

// Block loses the frames from one node to another. The station "client" may be
// named as well.
func (l *Lab) Block(_ context.Context, from, to, network string) error {
	networks, err := l.networks(network)
	if err != nil {
		return err
	}
	for _, name := range []string{from, to} {
		if _, err := l.Node(name); err != nil && name != outside.Client {
			return err
		}
	}
	var lost []direction
	for _, network := range networks {
		lost = append(lost, direction{portName(from, network), portName(to, network)})
	}
	return l.fabric.cuts.lose(lost)
}

// BlockAll loses all frames from and to a node, the outside client's included.
// Only the probes still reach it: what it tells those that share its side of
// the cut must be known.
func (l *Lab) BlockAll(_ context.Context, node, network string) error {
	networks, err := l.networks(network)
	if err != nil {
		return err
	}
	if _, err := l.Node(node); err != nil {
		return err
	}
	var lost []direction
	for _, network := range networks {
		mine := portName(node, network)
		for _, other := range append([]string{outside.Client}, l.opts.Nodes...) {
			if other != node {
				theirs := portName(other, network)
				lost = append(lost, direction{mine, theirs}, direction{theirs, mine})
			}
		}
	}
	return l.fabric.cuts.lose(lost)
}

// Heal ends all cuts and gives all carriers back.
func (l *Lab) Heal(ctx context.Context) error {
	errs := []error{l.fabric.cuts.heal()}
	for _, n := range l.nodes {
		for _, network := range l.opts.Networks {
			if n.On() {
				errs = append(errs, n.setLink(ctx, network, true))
			}
		}
	}
	return errors.Join(errs...)
}

// SetLink gives or takes a node's carrier in a network.
func (l *Lab) SetLink(ctx context.Context, node, network string, up bool) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	if _, err := l.networks(network); err != nil || network == "" {
		return errors.Join(err, fmt.Errorf("link of %s: which network?", node))
	}
	return n.setLink(ctx, network, up)
}

// carrierWait bounds the wait for a carrier. The kernel looks at changes of
// carriers once a second at most. Source: net/core/link_watch.c.
const carrierWait = 3 * time.Second

// setLink returns when the node's kernel has noticed.
func (n *Node) setLink(ctx context.Context, network string, up bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.space == nil {
		return errOff
	}
	if err := n.lab.fabric.setLink(portName(n.Name, network), up); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, carrierWait)
	defer cancel()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		device, err := n.link.LinkByName(n.Device(network))
		if err != nil {
			return fmt.Errorf("read carrier of %s on %s: %w", n.Device(network), n.Name, err)
		}
		if (device.Attrs().OperState == netlink.OperUp) == up {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the carrier of %s on %s: %w", n.Device(network), n.Name, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
