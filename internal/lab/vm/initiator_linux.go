package vm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// sanWait bounds the wait for the units of the SAN to be there over both paths.
const sanWait = 3 * time.Minute

// iscsidConf gives a path up 5 s after it was lost, which the initiator's own pings
// notice within 4 s. Source: iscsid.conf of open-iscsi.
const iscsidConf = `iscsid.startup = /bin/true
node.startup = manual
node.session.scan = auto
node.session.timeo.replacement_timeout = 5
node.conn[0].timeo.noop_out_interval = 2
node.conn[0].timeo.noop_out_timeout = 2
`

// multipathConf has one name for a unit over both paths, and fails what is asked of a
// unit without paths. Source: multipath.conf(5).
func multipathConf() string {
	var b strings.Builder
	b.WriteString(`defaults {
  user_friendly_names no
  find_multipaths no
  path_grouping_policy failover
  path_checker tur
  no_path_retry fail
  polling_interval 2
  max_polling_interval 4
}
blacklist {
  devnode "^(ram|loop|vd|ubd|nbd|drbd|sr)"
}
multipaths {
`)
	for i, lun := range LUNs() {
		fmt.Fprintf(&b, "  multipath {\n    wwid %s\n    alias %s\n  }\n", wwid(i+1), lun.Name)
	}
	b.WriteString("}\n")
	return b.String()
}

// initiatorName is the node's own in reservations and at the target.
func (n *Node) initiatorName() string { return "iqn.2026-11.lab.perdure:" + n.Name }

// attachSAN logs a node on to the SAN over both of its switches, as at a boot:
// afterwards the units are /dev/mapper/NAME.
func (n *Node) attachSAN(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, sanWait, fmt.Errorf("the units of the SAN weren't there within %v", sanWait))
	defer cancel()
	for _, f := range []struct{ path, text string }{
		{"/etc/iscsi/initiatorname.iscsi", "InitiatorName=" + n.initiatorName() + "\n"},
		{"/etc/iscsi/iscsid.conf", iscsidConf},
		{"/etc/multipath.conf", multipathConf()},
	} {
		if err := n.client.Write(ctx, f.path, 0o600, []byte(f.text)); err != nil {
			return err
		}
	}
	if _, err := n.client.Run(ctx, "sh", "-c", attachScript()); err != nil {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), actWait)
		defer cancel()
		seen, _ := n.client.Run(asking, "sh", "-c", "iscsiadm -m session; multipathd show paths format '%m %t %T %d'; ls /dev/mapper; dmesg | tail -n 5")
		return fmt.Errorf("attach the SAN: %w: %w; seen: %s", context.Cause(ctx), lastLine(err), seen)
	}
	return nil
}

// lastLine is an error without the script that it quotes.
func lastLine(err error) error {
	text := err.Error()
	return errors.New(text[strings.LastIndexByte(strings.TrimSpace(text), '\n')+1:])
}

// attachScript starts what a Debian's boot would start. It ends when each unit has all
// of its paths.
func attachScript() string {
	var discover, wait strings.Builder
	for _, network := range sanNetworks {
		fmt.Fprintf(&discover, "iscsiadm -m discovery -t sendtargets -p %s >/dev/null\n", SANPortal(network))
	}
	for _, lun := range LUNs() {
		fmt.Fprintf(&wait, "until [ $(multipathd show paths format '%%m %%t %%T' | grep -c '^%[1]s  *active  *ready') = %[2]d ]; do sleep 0.2; done\n",
			lun.Name, len(sanNetworks))
	}
	return `set -e
mkdir -p /run/lock/iscsi
modprobe -a iscsi_tcp sd_mod dm_multipath dm_round_robin dm_service_time scsi_dh_alua 2>/dev/null || modprobe -a iscsi_tcp sd_mod dm_multipath
pgrep -x systemd-udevd >/dev/null || /lib/systemd/systemd-udevd --daemon
pgrep -x iscsid >/dev/null || iscsid
pgrep -x multipathd >/dev/null || multipathd
` + discover.String() + `iscsiadm -m node -T ` + SANTarget + ` --login >/dev/null
udevadm settle
` + wait.String()
}

// DetachSAN logs a node off.
func (n *Node) DetachSAN(ctx context.Context) error {
	_, err := n.Run(ctx, "iscsiadm", "-m", "node", "-T", SANTarget, "--logout")
	return err
}

// Paths says how the units' paths are: a line for each with the unit, its state in the
// kernel, what the checker says, and the device.
func (n *Node) Paths(ctx context.Context) (string, error) {
	return n.Run(ctx, "multipathd", "show", "paths", "format", "%m %t %T %d")
}
