package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
)

type initCmd struct {
	Name      string   `help:"Name of the cluster." default:"cluster"`
	Node      string   `help:"Name of this node; default: the host name." placeholder:"NAME"`
	Path      []string `help:"Comm path: NETWORK=ADDRESS[:PORT]; repeat it for each network. Default: this machine's addresses." placeholder:"N=A" sep:"none"`
	Detection string   `help:"Detection time: fast, balanced, wide, or a duration." default:"balanced"`
}

func (c initCmd) Run(ctx context.Context, a *app) error {
	if a.run.Init == nil {
		return a.absent("init")
	}
	d, err := api.DetectionOf(c.Detection)
	if err != nil {
		return err
	}
	node, paths, err := a.own(c.Node, c.Path)
	if err != nil {
		return err
	}
	r, err := a.run.Init(ctx, InitOptions{StateDir: a.StateDir, ClusterName: c.Name, NodeName: node, Paths: paths, Detection: d, Version: a.version})
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(r)
	}
	a.print(message.ClusterMade, c.Name, node)
	a.showPaths(paths)
	a.steps(r.Next, message.NextStart, message.NextThird, message.NextHierarchy)
	return nil
}

type joinCmd struct {
	Token string   `arg:"" help:"The token, from perdure token create on a node of the cluster; -: from standard input."`
	Node  string   `help:"Name of this node; default: the host name." placeholder:"NAME"`
	Path  []string `help:"Comm path: NETWORK=ADDRESS[:PORT]; repeat it for each network. Default: this machine's addresses." placeholder:"N=A" sep:"none"`
	Role  string   `help:"What this machine becomes: ${enum}." enum:"node,witness" default:"node"`
}

func (c joinCmd) Run(ctx context.Context, a *app) error {
	if a.run.Join == nil {
		return a.absent("join")
	}
	if c.Token == "-" { // other users of the machine can read arguments
		_, _ = fmt.Fscanln(a.term.In, &c.Token)
	}
	t, err := pki.ParseToken(c.Token)
	if err != nil {
		return err
	}
	if t.Expired(time.Now()) {
		// The cluster's clock decides; this one may be wrong.
		a.note(message.TokenMayBeOver, t.Expires.In(a.zone))
	}
	node, paths, err := a.own(c.Node, c.Path)
	if err != nil {
		return err
	}
	if !a.JSON {
		a.note(message.Asking, strings.Join(t.Addresses, ", "))
	}
	began := time.Now()
	r, err := a.run.Join(ctx, JoinOptions{StateDir: a.StateDir, Token: c.Token, NodeName: node, Paths: paths, Role: cluster.Role(c.Role), Version: a.version})
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(r)
	}
	a.print(message.Joined, node, r.NodeID, time.Since(began).Round(10*time.Millisecond))
	a.showPaths(paths)
	start := message.NextStart
	if c.Role == string(cluster.RoleWitness) {
		start = message.NextStartWitness
	}
	a.steps(r.Next, start, message.NextLook)
	return nil
}

// own completes what is said of this machine.
func (a *app) own(name string, words []string) (string, []cluster.Path, error) {
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", nil, message.New(message.NoHostName).Wrap(err)
		}
		name, _, _ = strings.Cut(host, ".")
	}
	if !cluster.ValidName(name) {
		return "", nil, message.New(message.RefusedBadName, name)
	}
	paths, err := readPaths(words)
	if err != nil {
		return "", nil, err
	}
	if len(paths) == 0 {
		paths = ownPaths()
	}
	if len(paths) == 0 {
		return "", nil, message.New(message.NoPaths)
	}
	return name, paths, nil
}

func (a *app) showPaths(paths []cluster.Path) {
	var rows [][]cell
	for _, p := range paths {
		rows = append(rows, plain(a.label("comm path", "コミュニケーションパス"), p.Network, p.Address))
	}
	a.table(a.term.Out, "  ", rows)
}

// steps says what to do next: what the runner says, or else these messages.
func (a *app) steps(given []string, codes ...string) {
	if len(given) == 0 {
		for _, c := range codes {
			given = append(given, message.Text(a.lang, c))
		}
	}
	a.printf("\n%s\n", a.label("Next:", "次の手順:"))
	var rows [][]cell
	for i, s := range given {
		rows = append(rows, plain(fmt.Sprintf("%d.", i+1), s))
	}
	a.table(a.term.Out, "  ", rows)
}
