package apitest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// World is a cluster made by lines of words.
type World struct {
	State *cluster.State
	Local api.Local
	// wall is the time of the next command, in milliseconds since 1970.
	wall  int64
	index uint64
}

// Began is when every world begins: 2026-03-01 03:14:00 UTC.
var Began = time.Date(2026, 3, 1, 3, 14, 0, 0, time.UTC)

// Read makes a world of lines. Empty lines and those that begin with # are
// comments.
func Read(text string) (*World, error) {
	w := &World{wall: Began.UnixMilli(), index: 1}
	for i, line := range strings.Split(text, "\n") {
		if err := w.Do(line); err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", i+1, line, err)
		}
	}
	if w.State == nil {
		return nil, errors.New("no line makes a cluster")
	}
	return w, nil
}

// Now is the world's wall clock.
func (w *World) Now() time.Time { return time.UnixMilli(w.wall).UTC() }

// Do carries out one line.
func (w *World) Do(line string) (err error) {
	words, err := split(line)
	if err != nil || len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	verb, args := words[0], words[1:]
	if verb == "cluster" {
		return w.cluster(args)
	}
	if w.State == nil {
		return errors.New("a world begins with a cluster")
	}
	for _, verbs := range []map[string]func(*World, []string) error{nodeVerbs, hierarchyVerbs, localVerbs} {
		if f := verbs[verb]; f != nil {
			return f(w, args)
		}
	}
	return fmt.Errorf("unknown verb %q", verb)
}

// apply has the state carry out a command at the world's time.
func (w *World) apply(c cluster.Command) error {
	w.index++
	c.WallMilli = w.wall
	if r := w.State.Apply(w.index, &c); r.Refused() {
		return fmt.Errorf("refused: %s %v", r.Refusal.Code, r.Refusal.Args)
	}
	return nil
}

// cluster makes a cluster whose nodes are all present and heard.
func (w *World) cluster(args []string) error {
	name, nodes := args[0], args[1:]
	for i, n := range nodes {
		n, role, _ := strings.Cut(n, "/")
		if role == "" {
			role = string(cluster.RoleNode)
		}
		id := cluster.NodeID(i + 1)
		add := cluster.AddNode{Name: n, Role: cluster.Role(role), TokenHash: n, Software: "1.0", Protocol: 1, Paths: []cluster.Path{
			{Network: "lan", Address: fmt.Sprintf("192.0.2.%d:7400", id), Priority: 1},
			{Network: "cross", Address: fmt.Sprintf("198.51.100.%d:7400", id), Priority: 2},
		}}
		if i == 0 {
			w.State = cluster.New("c1u5ter", name, add, w.wall)
		} else if err := errors.Join(
			w.apply(cluster.Command{AddToken: &cluster.AddToken{Token: cluster.Token{Hash: n, ExpiresUnix: 1 << 40}}}),
			w.apply(cluster.Command{AddNode: &add}),
			w.apply(cluster.Command{Member: &cluster.Member{Node: id, As: cluster.AsVoter}}),
		); err != nil {
			return err
		}
		if role == string(cluster.RoleWitness) {
			continue // it serves nothing, so it needs no generation
		}
		if err := w.apply(cluster.Command{Admit: &cluster.Admit{Node: id, Session: n}}); err != nil {
			return err
		}
	}
	w.Local = api.Local{
		Self: 1, Software: "1.0", Leader: 1, Term: 2, Quorum: true, LeaseAlive: true, LeaseLeft: 2400 * time.Millisecond,
		Guarded: api.GuardState{Gate: "nftables table perdure", Watchdog: "armed, 15s"}, WorstRTT: time.Millisecond,
	}
	for i := range w.State.Nodes {
		n := &w.State.Nodes[i]
		if n.ID == 1 {
			continue
		}
		w.Local.Nodes = append(w.Local.Nodes, api.NodeHeard{Node: n.ID, Ago: 20 * time.Millisecond})
		for j, p := range n.Paths {
			w.Local.Paths = append(w.Local.Paths, api.PathState{
				Peer: n.ID, Network: p.Network, Local: w.State.Nodes[0].Paths[j].Address, Remote: p.Address, State: "up",
				Sent: 1000, Received: 999, Lost: 1, RTT: 300 * time.Microsecond, Worst: time.Millisecond, Heard: 20 * time.Millisecond,
			})
		}
	}
	return nil
}

func (w *World) node(name string) *cluster.Node {
	n := w.State.NodeByName(name)
	if n == nil {
		panic("no node " + name)
	}
	return n
}

func (w *World) hierarchy(name string) *cluster.Hierarchy {
	h := w.State.Hierarchy(name)
	if h == nil {
		panic("no hierarchy " + name)
	}
	return h
}

func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

// pairs takes the KEY=VALUE words out.
func pairs(args []string) (rest []string, kv map[string]string) {
	kv = make(map[string]string)
	for _, a := range args {
		if k, v, ok := strings.Cut(a, "="); ok && k != "" {
			kv[k] = v
		} else {
			rest = append(rest, a)
		}
	}
	return rest, kv
}

// reason reads CODE ARG … up to the first word that begins with +.
func reason(args []string) (cluster.Reason, []string) {
	if len(args) == 0 {
		return cluster.Reason{}, nil
	}
	end := slices.IndexFunc(args, func(s string) bool { return strings.HasPrefix(s, "+") })
	if end < 0 {
		end = len(args)
	}
	return cluster.Reason{Code: args[0], Args: args[1:end]}, args[end:]
}

// split cuts a line into words; double quotes keep blanks.
func split(line string) ([]string, error) {
	var out []string
	word, open, any := "", false, false
	for _, r := range line {
		switch {
		case r == '"':
			open, any = !open, true
		case (r == ' ' || r == '\t') && !open:
			if any {
				out = append(out, word)
			}
			word, any = "", false
		default:
			word, any = word+string(r), true
		}
	}
	if open {
		return nil, errors.New("a quote is open")
	}
	if any {
		out = append(out, word)
	}
	return out, nil
}
