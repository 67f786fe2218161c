package cli

import (
	"context"
	"io"
	"time"
)

// Lab is what the lab of virtual machines can be asked; see package lab/keeper.
type Lab struct {
	Up     func(ctx context.Context, o LabUpOptions) error
	Status func(ctx context.Context, o LabOptions) error
	// List says what can be played, Run plays it.
	List func(ctx context.Context, o LabOptions) error
	Run  func(ctx context.Context, o LabOptions, words []string, times int) error
	// SSH returns the exit status of what ran.
	SSH  func(ctx context.Context, o LabOptions, node string, command []string) (int, error)
	Down func(ctx context.Context, o LabOptions) error
	// Keep is the process that holds the lab; config is Up's business.
	Keep func(ctx context.Context, config string) error
}

// LabOptions are those of every command of the lab.
type LabOptions struct {
	JSON     bool
	Lang     string
	In       io.Reader
	Out, Err io.Writer
}

// LabUpOptions describe the lab that is wanted.
type LabUpOptions struct {
	LabOptions
	Kind                       string
	Nodes                      int
	Witness, Watchdog, Systemd bool
	Storage                    bool
	Detection                  time.Duration
	Keep, Foreground           bool
}

type labCmd struct {
	Up     labUpCmd     `cmd:"" help:"Make the lab: machines, a cluster, a service with a client outside."`
	Status labStatusCmd `cmd:"" help:"Show the machines, where the service is, and what the client outside saw."`
	Run    labRunCmd    `cmd:"" help:"Play scenarios on the lab, or inject one fault."`
	SSH    labSSHCmd    `cmd:"" name:"ssh" help:"Open a shell on a node, or run a command there; needs none of the networks."`
	Down   labDownCmd   `cmd:"" help:"End the lab and remove all of it."`
	Keep   labKeepCmd   `cmd:"" hidden:"" help:"Hold the lab; lab up starts this."`
}

// lab is the part of the program that has the lab.
func (a *app) lab() (*Lab, LabOptions, error) {
	if a.run.Lab == nil {
		return nil, LabOptions{}, a.absent("lab")
	}
	return a.run.Lab, LabOptions{JSON: a.JSON, Lang: a.lang, In: a.term.In, Out: a.term.Out, Err: a.term.Err}, nil
}

type labUpCmd struct {
	Kind       string        `help:"Kind of machine: uml (fast, small) or qemu (more faults; slow without KVM)." default:"uml" placeholder:"KIND"`
	Nodes      int           `help:"Number of nodes, 2 to 7." default:"3" placeholder:"N"`
	Witness    bool          `help:"Make the last node a witness."`
	Watchdog   bool          `help:"Give each machine a watchdog."`
	Systemd    bool          `help:"Boot the guests with systemd as process 1."`
	Storage    bool          `help:"Add a SAN that every node sees over two switches, and a NAS."`
	Detection  time.Duration `help:"Detection time of the cluster." placeholder:"TIME"`
	Keep       bool          `help:"Leave the logs at the end."`
	Foreground bool          `help:"Keep the lab in this process, until Ctrl-C."`
}

func (c labUpCmd) Run(ctx context.Context, a *app) error {
	lab, o, err := a.lab()
	if err != nil {
		return err
	}
	return lab.Up(ctx, LabUpOptions{LabOptions: o, Kind: c.Kind, Nodes: c.Nodes, Witness: c.Witness, Watchdog: c.Watchdog,
		Systemd: c.Systemd, Storage: c.Storage, Detection: c.Detection, Keep: c.Keep, Foreground: c.Foreground})
}

type labStatusCmd struct{}

func (labStatusCmd) Run(ctx context.Context, a *app) error {
	lab, o, err := a.lab()
	if err != nil {
		return err
	}
	return lab.Status(ctx, o)
}

type labRunCmd struct {
	Words []string `arg:"" optional:"" name:"name" help:"Names of scenarios, all that the lab can play if none; or, after --, one fault: 'power-off n1'."`
	List  bool     `help:"List what can be played, and why the rest can't."`
	Times int      `help:"Play them this often; the first that is not survived ends it." default:"1" placeholder:"N"`
}

func (c labRunCmd) Run(ctx context.Context, a *app) error {
	lab, o, err := a.lab()
	if err != nil {
		return err
	}
	if c.List {
		return lab.List(ctx, o)
	}
	return lab.Run(ctx, o, c.Words, c.Times)
}

type labSSHCmd struct {
	Node    string   `arg:"" help:"Name of the node."`
	Command []string `arg:"" optional:"" passthrough:"" help:"Command; one word is a line for a shell. None: a shell."`
}

func (c labSSHCmd) Run(ctx context.Context, a *app) error {
	lab, o, err := a.lab()
	if err != nil {
		return err
	}
	command := c.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	code, err := lab.SSH(ctx, o, c.Node, command)
	if err != nil || code == 0 {
		return err
	}
	return silent(code)
}

type labDownCmd struct{}

func (labDownCmd) Run(ctx context.Context, a *app) error {
	lab, o, err := a.lab()
	if err != nil {
		return err
	}
	return lab.Down(ctx, o)
}

type labKeepCmd struct {
	Config string `arg:"" help:"What lab up wrote."`
}

func (c labKeepCmd) Run(ctx context.Context, a *app) error {
	lab, _, err := a.lab()
	if err != nil {
		return err
	}
	return lab.Keep(ctx, c.Config)
}
