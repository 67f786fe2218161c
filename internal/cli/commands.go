package cli

import (
	"context"
	"fmt"
	"runtime"

	"github.com/perdure-ha/perdure/internal/message"
)

// globals are the flags of every command.
type globals struct {
	JSON     bool   `name:"json" help:"Print JSON."`
	Lang     string `help:"Language of messages: en or ja." env:"PERDURE_LANG" placeholder:"LANG"`
	StateDir string `help:"Directory of this node's state." env:"PERDURE_STATE_DIR" default:"${state_dir}" placeholder:"DIR"`
	RunDir   string `help:"Directory of the daemon's socket." env:"PERDURE_RUN_DIR" default:"${run_dir}" placeholder:"DIR"`

	Server    []string `help:"Ask nodes elsewhere, over TLS: HOST[:PORT], the first that answers." env:"PERDURE_SERVER" placeholder:"HOST"`
	TokenFile string   `help:"File with an access token, for --server; or PERDURE_TOKEN." env:"PERDURE_TOKEN_FILE" placeholder:"FILE"`
}

// commands is the whole command line.
type commands struct {
	globals

	Init    initCmd    `cmd:"" group:"Set up" help:"Make a new cluster with this machine as its first node."`
	Join    joinCmd    `cmd:"" group:"Set up" help:"Join a cluster with a token."`
	Install installCmd `cmd:"" group:"Set up" help:"Install the system service (root, Linux)."`

	Status     statusCmd     `cmd:"" group:"Look" help:"Show the cluster: safe or not, nodes, hierarchies."`
	Why        whyCmd        `cmd:"" group:"Look" help:"Tell how a hierarchy came to be where it is."`
	Events     eventsCmd     `cmd:"" group:"Look" help:"Show what happened, and follow it."`
	Alarm      alarmCmd      `cmd:"" group:"Look" help:"Alarms that stand."`
	Audit      auditCmd      `cmd:"" group:"Look" help:"Who asked this node for what, and what became of it."`
	Version    versionCmd    `cmd:"" group:"Look" help:"Show the versions of this program and of the daemon."`
	Switchover switchoverCmd `cmd:"" group:"Act" help:"Move a hierarchy to another node."`
	Hierarchy  hierarchyCmd  `cmd:"" group:"Act" help:"Hierarchies: what is kept in service as a whole."`
	Resource   resourceCmd   `cmd:"" group:"Act" help:"Resources of hierarchies."`
	Kit        kitCmd        `cmd:"" group:"Act" help:"Kits: the kinds of resources, and their settings."`
	Node       nodeCmd       `cmd:"" group:"Act" help:"Nodes of the cluster."`
	Maintain   maintainCmd   `cmd:"" name:"maintenance" group:"Act" help:"Maintenance of the cluster, a node, a hierarchy or a resource."`
	Path       pathCmd       `cmd:"" group:"Act" help:"Comm paths between the nodes."`
	Quorum     quorumCmd     `cmd:"" group:"Act" help:"Votes and the detection time."`
	Token      tokenCmd      `cmd:"" group:"Act" help:"Tokens with which nodes join, and with which programs ask."`
	Hook       hookCmd       `cmd:"" group:"Act" help:"Programs of yours that are told of events."`
	User       userCmd       `cmd:"" group:"Act" help:"Users who may ask over the network, and their roles."`

	Guardian     guardianCmd     `cmd:"" group:"Run" help:"Run this node: the guardian, which starts the daemon."`
	Witness      witnessCmd      `cmd:"" group:"Run" help:"Run this machine as a witness: it votes and hosts nothing."`
	Demo         demoCmd         `cmd:"" group:"Run" help:"Show the main job: a cluster on this machine, one fault after another."`
	Lab          labCmd          `cmd:"" group:"Run" help:"A cluster of virtual machines on this machine, to be looked at and broken (root, Linux)."`
	Daemon       daemonCmd       `cmd:"" hidden:"" help:"Run the daemon; the guardian does this."`
	VolumeServer volumeServerCmd `cmd:"" hidden:"" help:"Serve volumes; the guardian runs this."`
}

type versionCmd struct{}

func (versionCmd) Run(ctx context.Context, a *app) error {
	type versions struct {
		Program string `json:"program"`
		System  string `json:"system"`
		Daemon  string `json:"daemon,omitempty"`
	}
	v := versions{Program: a.version, System: runtime.GOOS + "/" + runtime.GOARCH}
	if view, err := a.client().View(ctx); err == nil {
		v.Daemon = view.Local.Software
	}
	if a.JSON {
		return a.printJSON(v)
	}
	a.printf("perdure %s (%s)\n", v.Program, v.System)
	if v.Daemon != "" {
		a.printf("%s\n", a.label("daemon", "デーモン")+" "+v.Daemon)
	}
	return nil
}

type guardianCmd struct {
	Watchdog string `help:"Watchdog device; none: don't use one." placeholder:"DEVICE"`
	Instance string `help:"Name of this node among several on one machine." env:"PERDURE_INSTANCE" hidden:""`
}

func (c guardianCmd) Run(ctx context.Context, a *app) error {
	return a.runner(ctx, "guardian", a.run.Guardian, RunOptions{Watchdog: c.Watchdog, Instance: c.Instance})
}

type daemonCmd struct {
	GuardFD  int    `name:"guard-fd" help:"File descriptor of the link to the guardian." default:"3"`
	Instance string `env:"PERDURE_INSTANCE" help:"Name of this node among several on one machine."`
}

func (c daemonCmd) Run(ctx context.Context, a *app) error {
	return a.runner(ctx, "daemon", a.run.Daemon, RunOptions{GuardFD: c.GuardFD, Instance: c.Instance})
}

type volumeServerCmd struct {
	GuardFD int `name:"guard-fd" help:"File descriptor of the link to the guardian; 0: none, serve always." default:"0"`
}

func (c volumeServerCmd) Run(ctx context.Context, a *app) error {
	return a.runner(ctx, "volume-server", a.run.VolumeServer, RunOptions{GuardFD: c.GuardFD})
}

type witnessCmd struct{}

func (witnessCmd) Run(ctx context.Context, a *app) error {
	return a.runner(ctx, "witness", a.run.Witness, RunOptions{})
}

func (a *app) runner(ctx context.Context, name string, f func(context.Context, RunOptions) error, o RunOptions) error {
	if f == nil {
		return a.absent(name)
	}
	o.StateDir, o.RunDir, o.Version, o.Lang = a.StateDir, a.RunDir, a.version, a.lang
	return f(ctx, o)
}

// absent says that a command is not part of this build.
func (a *app) absent(name string) error {
	return message.New(message.NotInThisBuild, name, fmt.Sprintf("%s/%s", runtime.GOOS, runtime.GOARCH))
}

type demoCmd struct {
	Once  bool   `help:"End by itself; fail if a fault was not survived."`
	Fault string `help:"Only this fault." placeholder:"NAME"`
	Keep  bool   `help:"Leave the nodes' files behind."`
}

func (c demoCmd) Run(ctx context.Context, a *app) error {
	if a.run.Demo == nil {
		return a.absent("demo")
	}
	return a.run.Demo(ctx, DemoOptions{Once: c.Once, Fault: c.Fault, JSON: a.JSON, Keep: c.Keep, Lang: a.lang,
		Out: a.term.Out, Err: a.term.Err})
}
