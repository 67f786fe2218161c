package daemon

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
)

// TestRemote makes a real node answer over TLS, from the first access token on
// until the last one is revoked, and finds it all in the audit log after a
// restart.
func TestRemote(t *testing.T) {
	host := fmt.Sprintf("127.78.%d.1", os.Getpid()%200)
	n := &testNode{t: t, name: "n1", dir: t.TempDir(), addr: host + ":7400"}
	if _, err := Init(InitOptions{StateDir: n.dir + "/state", ClusterName: "test", NodeName: n.name, Paths: n.paths(), Detection: time.Second}); err != nil {
		t.Fatal(err)
	}
	n.start()
	await(t, "a leader", 10*time.Second, func() bool { return n.d.Local().Leader != 0 })
	local := api.Dial(n.dir + "/run")
	defer local.Close()
	ctx := t.Context()

	remote := func(token string) *api.Client {
		c := api.DialRemote(api.Remote{Servers: []string{host}, Token: token, TLS: pki.ClientConfig(pki.Pin(n.d.creds.CA()), nil)})
		t.Cleanup(c.Close)
		return c
	}
	if _, err := remote("").Status(ctx); !message.Has(err, message.ServerUnreachable) {
		t.Fatalf("with nobody who could ask: %v", err)
	}
	k, err := local.CreateKey(ctx, "monitor", cluster.Guest, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := remote(k.Token)
	answers := func() bool { _, err := c.Status(ctx); return err == nil }
	await(t, "an answer over TLS", 10*time.Second, answers)
	if err := c.StopNode(ctx, api.StopMove); !message.Has(err, message.NotAllowed) {
		t.Errorf("a guest stops the node: %v", err)
	}
	if b, err := os.ReadFile(n.dir + "/state/audit/audit.log"); err != nil || !strings.Contains(string(b), `"who":"monitor"`) {
		t.Errorf("audit log: %s %v", b, err)
	}

	n.stop()
	n.start()
	await(t, "an answer after a restart", 10*time.Second, answers)
	records, err := local.Audit(ctx, 10)
	if err != nil || len(records) != 2 || records[0].Op != "key-create" || records[1].Result != "denied" || records[1].Node != "n1" {
		t.Errorf("%+v %v", records, err)
	}
	if _, err := local.SetAPI(ctx, "n1", "off"); err != nil {
		t.Fatal(err)
	}
	c.Close()
	await(t, "no answer when it is off", 10*time.Second, func() bool { _, err := c.Status(ctx); return message.Has(err, message.ServerUnreachable) })
}
