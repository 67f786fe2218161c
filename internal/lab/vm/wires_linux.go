package vm

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

// SetLink gives or takes a node's carrier in a network.
func (l *Lab) SetLink(ctx context.Context, node, network string, up bool) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	c, ok := n.Machine().(machine.Carrier)
	if !ok {
		return fmt.Errorf("carrier of %s: %w", node, fault.ErrUnsupported)
	}
	if networkIndex(network) < 0 {
		return fmt.Errorf("carrier of %s: which network? They are %v", node, Networks())
	}
	return c.SetCarrier(ctx, network, up)
}

// SetPort switches a node's port at its host.
func (l *Lab) SetPort(_ context.Context, node, network string, up bool) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	if networkIndex(network) < 0 {
		return fmt.Errorf("port of %s: which network? They are %v", node, Networks())
	}
	return n.host.setPort(portName(node, network), up)
}

// SetSwitch switches a network's switch: the uplinks of all hosts meet there.
func (l *Lab) SetSwitch(_ context.Context, network string, up bool) error {
	if networkIndex(network) < 0 {
		return fmt.Errorf("switch %q: the networks are %v", network, Networks())
	}
	return l.fabric.setPort(network, up)
}

// Loss loses some of what a node sends.
func (l *Lab) Loss(ctx context.Context, node, network string, percent int) error {
	return l.impair(ctx, node, network, "loss", fmt.Sprintf("%d%%", percent))
}

// Delay keeps what a node sends for some time, give or take a half.
func (l *Lab) Delay(ctx context.Context, node, network string, millis int) error {
	return l.impair(ctx, node, network, "delay", fmt.Sprintf("%dms", millis), fmt.Sprintf("%dms", millis/2))
}

// impair puts a queue that makes things worse before the node's cards, inside: the
// hypervisor's kernel may have none. Source: tc-netem(8).
func (l *Lab) impair(ctx context.Context, node, network string, how ...string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	networks, err := networksOf(network)
	if err != nil {
		return err
	}
	n.setImpaired()
	for _, network := range networks {
		argv := append([]string{"tc", "qdisc", "replace", "dev", Device(network), "root", "netem"}, how...)
		if _, err := n.Run(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

// unimpair takes those queues away.
func (l *Lab) unimpair(ctx context.Context, n *Node) error {
	var errs []error
	for _, network := range Networks() {
		_, err := n.Run(ctx, "sh", "-c", fmt.Sprintf("tc qdisc show dev %[1]s | grep -q netem || exit 0; tc qdisc del dev %[1]s root", Device(network)))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (n *Node) setImpaired() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.impaired = true
}

func (n *Node) takeImpaired() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.impaired
	n.impaired = false
	return was
}
