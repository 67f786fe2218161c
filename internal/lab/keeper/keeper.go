package keeper

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// Config is the lab that is wanted.
type Config struct {
	// Kind is that of the machines: uml or qemu.
	Kind string `json:"kind"`
	// Nodes is how many, a witness included.
	Nodes int `json:"nodes"`
	// Witness makes the last node a witness.
	Witness bool `json:"witness,omitempty"`
	// Watchdog gives each machine one; Systemd boots guests with it as process 1.
	Watchdog bool `json:"watchdog,omitempty"`
	Systemd  bool `json:"systemd,omitempty"`
	// Storage adds a SAN and a NAS.
	Storage bool `json:"storage,omitempty"`
	// Detection is the detection time; 0 leaves the default.
	Detection time.Duration `json:"detection,omitempty"`
	// Keep leaves the logs at the end.
	Keep bool `json:"keep,omitempty"`
	// Lang is the language of what is said on the way up.
	Lang string `json:"lang,omitempty"`
}

// The bounds of a lab. More than seven machines fit on hardly any small computer,
// and one is no cluster.
const (
	fewestNodes = 2
	mostNodes   = 7
)

// Check refuses what makes no lab, with what is allowed instead.
func (c Config) Check() error {
	switch {
	case c.Kind != "uml" && c.Kind != "qemu":
		return message.New(message.LabOption, "--kind "+c.Kind, "uml, qemu")
	case c.Nodes < fewestNodes || c.Nodes > mostNodes:
		return message.New(message.LabOption, fmt.Sprintf("--nodes %d", c.Nodes), fmt.Sprintf("%d-%d", fewestNodes, mostNodes))
	case c.Witness && c.Nodes < 3:
		return message.New(message.LabOption, fmt.Sprintf("--witness --nodes %d", c.Nodes), fmt.Sprintf("--nodes 3-%d", mostNodes))
	case c.Detection != 0 && (c.Detection < 100*time.Millisecond || c.Detection > 10*time.Minute):
		return message.New(message.LabOption, "--detection "+c.Detection.String(), "0.1s-10m")
	}
	return nil
}

// Names are the nodes' names; those before the witness host the service.
func (c Config) Names() (nodes, hosts []string, witness string) {
	for i := range c.Nodes {
		nodes = append(nodes, fmt.Sprintf("n%d", i+1))
	}
	if !c.Witness {
		return nodes, nodes, ""
	}
	last := len(nodes) - 1
	nodes[last] = "w1"
	return nodes, slices.Clone(nodes[:last]), "w1"
}

// record says who keeps the lab.
type record struct {
	PID int `json:"pid"`
	// Start is the process's start time in ticks since boot, so that a later one
	// with the same id isn't mistaken for it.
	Start  uint64    `json:"start"`
	Since  time.Time `json:"since"`
	Config Config    `json:"config"`
	// Dir is the lab's own directory, once it has one.
	Dir string `json:"dir,omitempty"`
}

// Lab is what is kept.
type Lab interface {
	// Look says how it is. It waits for nothing.
	Look() Look
	// Offer lists what can be played, and what can't.
	Offer(lang string) Offer
	// Prepare finds out what words mean: names of scenarios, or one fault. What is
	// returned carries it out, alone.
	Prepare(p Play) (Act, error)
	// Attach runs a program on a node with somebody at it.
	Attach(ctx context.Context, node string, s Session) (code int, err error)
	// Close ends it and says where its logs stay, if they do.
	Close() (kept string, err error)
}

// Act changes the lab, and says on out what came of it, on live what happens.
type Act func(ctx context.Context, out, live io.Writer) error

// Open makes a lab. It says how far it is.
type Open func(ctx context.Context, c Config, say func(Progress)) (Lab, error)

// Phase is how far a lab is.
type Phase string

// The phases, in order. Failed: there will be no lab.
const (
	Begins  Phase = "begins"
	Images  Phase = "images"
	Boots   Phase = "boots"
	Forms   Phase = "forms"
	Serves  Phase = "in service"
	Closes  Phase = "closes"
	Closed  Phase = "closed"
	Failing Phase = "failed"
)

// Progress is a step towards a lab, or its end.
type Progress struct {
	Phase Phase `json:"phase"`
	// Step is what is done, for people; Fraction how much of it, 0 to 1, or less
	// than 0; Left about how long it still takes, or less than 0.
	Step     string        `json:"step,omitempty"`
	Fraction float64       `json:"fraction"`
	Left     time.Duration `json:"left"`
	// Failure is why it failed, or what went wrong at the end.
	Failure *Failure `json:"failure,omitempty"`
	// Kept is where logs stay.
	Kept string `json:"kept,omitempty"`
}

// over reports whether nothing can come any more that a person at lab up waits for.
func (p Progress) over() bool { return p.Phase == Serves || p.Phase == Closed || p.Phase == Failing }

// Look is how a lab is.
type Look struct {
	Config Config    `json:"config"`
	Phase  Phase     `json:"phase"`
	Since  time.Time `json:"since"`
	PID    int       `json:"pid"`
	Dir    string    `json:"dir,omitempty"`
	Nodes  []Node    `json:"nodes,omitempty"`
	// Storage is what nodes reach in the storage networks.
	Storage []Storage `json:"storage,omitempty"`
	// Busy is what is being done to it now.
	Busy    string   `json:"busy,omitempty"`
	Service *Service `json:"service,omitempty"`
}

// Node is a machine.
type Node struct {
	Name string `json:"name"`
	Host string `json:"host,omitempty"`
	Kind string `json:"kind"`
	// State is on, off, down (it ended by itself) or changing.
	State   string `json:"state"`
	Witness bool   `json:"witness,omitempty"`
	// Addresses are its own in the networks that people look for.
	Addresses []Address `json:"addresses,omitempty"`
}

// Storage is a target or a server at a switch of its own.
type Storage struct {
	Network string `json:"network"`
	URL     string `json:"url"`
}

// Address is one of a node's.
type Address struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

// Service is the protected one as the outside client sees it.
type Service struct {
	Address string `json:"address"`
	// Node answered last; Silent is for how long nobody has.
	Node   string        `json:"node,omitempty"`
	Silent time.Duration `json:"silent"`
	// Window is how far back the counters reach.
	Window  time.Duration `json:"window"`
	Sent    int           `json:"sent"`
	Lost    int           `json:"lost"`
	Longest time.Duration `json:"longest"`
	// OutageCount is how many outages there were, of which Outages are the last.
	OutageCount int      `json:"outage_count"`
	Outages     []Outage `json:"outages,omitempty"`
	// Double is for how long two nodes answered at once: any is a defect.
	Double time.Duration `json:"double"`
}

// Outage is a time without an answer.
type Outage struct {
	At     time.Time     `json:"at"`
	Length time.Duration `json:"length"`
	Before string        `json:"before,omitempty"`
	After  string        `json:"after,omitempty"`
	Open   bool          `json:"open,omitempty"`
}

// Offer is what a lab can play.
type Offer struct {
	Scenarios []Item `json:"scenarios"`
	Faults    []Item `json:"faults"`
}

// Item is one thing; Why says why it can't be played.
type Item struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	Why   string `json:"why,omitempty"`
}

// Play asks for scenarios or a fault.
type Play struct {
	Words    []string `json:"words"`
	Times    int      `json:"times"`
	Lang     string   `json:"lang"`
	JSON     bool     `json:"json"`
	Terminal bool     `json:"terminal"`
}

// Session is somebody at a program.
type Session struct {
	Argv []string
	In   io.Reader
	// Out and Err take what the program prints; with a terminal all is on Out.
	Out, Err io.Writer
	// Terminal is its size, if it has one; Sizes are later ones.
	Terminal *Size
	Sizes    <-chan Size
}

// Size is that of a terminal in characters.
type Size struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}
