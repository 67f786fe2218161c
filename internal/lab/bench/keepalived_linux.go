package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/netns"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// keepalivedConfig is the ordinary one: one advertisement a second, so that a
// silent master is replaced after three of them and a skew. Who returns doesn't
// take the address back. The words are:
// state, priority, address.
const keepalivedConfig = `global_defs {
  router_id bench
  vrrp_garp_master_delay 0
}
vrrp_instance web {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority %d
  advert_int 1
  nopreempt
  virtual_ipaddress {
    %s dev eth0
  }
}
`

// keepalived measures power loss with keepalived on the same machine in the same
// run; nothing where it isn't installed. Its server runs on both nodes, so that
// only the address moves.
func (b *bench) keepalived(ctx context.Context) ([]Result, error) {
	program, err := exec.LookPath("keepalived")
	if err != nil {
		say("keepalived isn't installed: not measured beside")
		return nil, nil
	}
	say("keepalived, two nodes …")
	lab, err := netns.New(ctx, netns.Options{Nodes: []string{"n1", "n2"}})
	if err != nil {
		return nil, err
	}
	defer lab.Close()
	web, err := webserver.Find()
	if err != nil {
		return nil, err
	}
	argv, err := lab.UseWeb("web", web, true)
	if err != nil {
		return nil, err
	}
	for i, n := range lab.Nodes() {
		start := func(_ context.Context, n *netns.Node) error {
			config := filepath.Join(n.RunDir(), "keepalived.conf")
			text := fmt.Sprintf(keepalivedConfig, 150-i, lab.VIP())
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				return err
			}
			if _, err := n.Start("web", argv...); err != nil {
				return err
			}
			_, err := n.Start("keepalived", program, "--dont-fork", "--log-console", "--vrrp",
				"--use-file", "/run/keepalived.conf", "--pid", "/run/keepalived.pid", "--vrrp_pid", "/run/vrrp.pid")
			return err
		}
		n.OnBoot(start)
		if err := start(ctx, n); err != nil {
			return nil, err
		}
	}
	c := client.Start(client.Config{Dial: lab.Dial, Interval: requestInterval})
	defer c.Stop()
	var all []time.Duration
	for i := range b.rounds {
		d, err := keepalivedLoss(ctx, lab, c)
		if err != nil {
			return nil, fmt.Errorf("keepalived: %w", err)
		}
		say("  power loss %d: %v", i+1, d.Round(time.Millisecond))
		all = append(all, d)
	}
	return []Result{newResult("beside: keepalived, power loss to first reply", Milliseconds, 0, ms(all, 0))}, nil
}

// keepalivedSettle is how long a master must have been one, so that the backup
// has heard its advertisements.
const keepalivedSettle = 6 * time.Second

func keepalivedLoss(ctx context.Context, lab *netns.Lab, c *client.Client) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, waitMoved)
	defer cancel()
	timer := time.NewTimer(keepalivedSettle)
	defer timer.Stop()
	if _, err := c.WaitGood(ctx, c.Clock().Now(), ""); err != nil {
		return 0, err
	}
	select {
	case <-timer.C:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	good, err := c.WaitGood(ctx, c.Clock().Now(), "")
	if err != nil {
		return 0, err
	}
	from := c.Clock().Now()
	if err := lab.PowerOff(ctx, good.Node); err != nil {
		return 0, err
	}
	other := map[string]string{"n1": "n2", "n2": "n1"}[good.Node]
	if _, err := c.WaitGood(ctx, from, other); err != nil {
		return 0, err
	}
	v := client.Judge(client.Gather(c, nil, from), from, c.Clock().Now())
	return v.Longest, lab.PowerOn(ctx, good.Node)
}
