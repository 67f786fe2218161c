package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/pki"
)

// tokenLife is the shortest that a token may be good for.
const tokenLife = 10 * time.Second

// joins tries to get in with everything but a good token, and with a good one
// under names and addresses that can't be.
func joins(t *testing.T, s *shop) {
	a, b, c := s.nodes[0], s.nodes[1], s.nodes[2]
	short := strings.TrimSpace(c.must(t, "token", "create", "--valid", tokenLife.String()))
	shortUntil := time.Now().Add(tokenLife)
	used := a.token(t, cluster.RoleNode)
	d := newMachine(t, "d", 1, 4)
	d.join(t, used, cluster.RoleNode)
	s.nodes = append(s.nodes, d)
	// The fifth machine makes two votes out of two learners: what follows must not
	// be blamed for it.
	voters(t, a, 5)
	node, witness := b.token(t, cluster.RoleNode), b.token(t, cluster.RoleWitness)

	z := newMachine(t, "z", 1, 20)
	refused := func(name, code string, words []string, m *machine, command ...string) {
		t.Run(name, func(t *testing.T) {
			s.refuses(t, m, code, words, command...)
			if _, err := os.Stat(filepath.Join(z.state(), "node.json")); err == nil {
				t.Error("the machine holds an identity now")
			}
		})
	}
	with := func(token string, flags ...string) []string { return append([]string{"join", token}, flags...) }
	as := func(flags ...string) []string { return append(flags, z.paths()...) }

	refused("no token", "PD5001", nil, z, with("nonsense", as("--node", "z")...)...)
	refused("damaged token", "PD5002", nil, z, with(damage(node), as("--node", "z")...)...)
	refused("half a token", "PD5002", nil, z, with(node[:len(node)/2], as("--node", "z")...)...)
	refused("wrong secret", "PD1004", nil, z, with(forge(t, node, func(k *pki.Token) { k.Secret[0] ^= 1 }), as("--node", "z")...)...)
	refused("another CA", "PD5004", nil, z, with(forge(t, node, func(k *pki.Token) { k.CAPin[0] ^= 1 }), as("--node", "z")...)...)
	refused("another cluster", "PD5123", nil, z, with(forge(t, node, func(k *pki.Token) { k.Cluster = strings.Repeat("5", 32) }), as("--node", "z")...)...)
	refused("nobody there", "PD5120", []string{address(5, 5)}, z,
		with(forge(t, node, func(k *pki.Token) { k.Addresses = []string{address(5, 5) + ":7400"} }), as("--node", "z")...)...)
	refused("used token", "PD1004", nil, z, with(used, as("--node", "z")...)...)
	refused("token of a witness for a node", "PD1004", nil, z, with(witness, as("--node", "z")...)...)
	refused("token of a node for a witness", "PD1004", nil, z, with(node, as("--node", "z", "--role", "witness")...)...)
	refused("name taken", "PD1003", []string{"b is taken"}, z, with(node, as("--node", "b")...)...)
	refused("bad name", "PD3011", nil, z, with(node, as("--node", "../b")...)...)
	refused("address taken", "PD1010", []string{"belongs to node b"}, z, with(node, "--node", "z", "--path", "lan="+address(1, 2))...)
	refused("network that nobody shares", "PD5214", []string{"lan", "san"}, z, with(node, "--node", "z", "--path", "other="+address(1, 20))...)
	refused("address of another machine", "PD8121", []string{"192.0.2.77"}, z, with(node, "--node", "z", "--path", "lan=192.0.2.77")...)
	refused("join of a node", "PD8102", []string{"in a cluster already"}, b, with(node, append(b.paths(), "--node", "z")...)...)
	refused("init of a node", "PD8102", []string{"in a cluster already"}, b, append([]string{"init", "--node", "b"}, b.paths()...)...)
	refused("state directory in a file", "PD8122", nil, z, with(node, as("--node", "z", "--state-dir", filepath.Join(binary, "state"))...)...)
	refused("guardian in no cluster", "PD8101", []string{"in no cluster yet"}, z, "guardian", "--watchdog", "none")
	refused("witness in no cluster", "PD8101", []string{"in no cluster yet"}, z, "witness")
	refused("a second guardian", "", nil, b, "guardian", "--watchdog", "none")
	t.Run("expired token", func(t *testing.T) {
		until(t, "the token expires", tokenLife+5*time.Second, func() error {
			if left := time.Until(shortUntil); left > -time.Second {
				return os.ErrDeadlineExceeded
			}
			return nil
		})
		a := s.refuses(t, z, "PD1004", nil, with(short, as("--node", "z")...)...)
		if !strings.Contains(a.err, "PD7220") && !strings.Contains(a.err, "expired") {
			t.Errorf("nothing is said of the time: %v", a)
		}
	})
	t.Run("and then in order", func(t *testing.T) {
		z.join(t, node, cluster.RoleNode)
		if next := b.perdure("node", "remove", "z", "-y"); next.code != 0 {
			t.Errorf("%v", next)
		}
	})
}

// damage changes one character in the middle.
func damage(token string) string {
	b := []byte(token)
	i := len(b) / 2
	if b[i]++; b[i] > 'z' || b[i] == '[' || b[i] == ':' {
		b[i] = 'A'
	}
	return string(b)
}

// forge changes a token and keeps it well-formed.
func forge(t *testing.T, token string, change func(*pki.Token)) string {
	t.Helper()
	k, err := pki.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	change(&k)
	text, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
