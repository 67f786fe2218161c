package cli

import (
	"context"
	"io"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// Runners are the parts of the program that are more than a client. The binary
// fills them in; a nil one is a command that this build doesn't have.
type Runners struct {
	// Guardian, Daemon and Witness run until the context ends.
	Guardian func(ctx context.Context, o RunOptions) error
	Daemon   func(ctx context.Context, o RunOptions) error
	Witness  func(ctx context.Context, o RunOptions) error
	// VolumeServer serves volumes until the context ends.
	VolumeServer func(ctx context.Context, o RunOptions) error
	Demo         func(ctx context.Context, o DemoOptions) error
	Init         func(ctx context.Context, o InitOptions) (InitResult, error)
	Join         func(ctx context.Context, o JoinOptions) (JoinResult, error)
	// Lab is the lab of virtual machines.
	Lab *Lab
	// Kits are those of this program, for when no daemon answers.
	Kits Kits
}

// Kits describes kits to people.
type Kits interface {
	List() []api.KitInfo
	Describe(kit string) (api.KitInfo, error)
}

// RunOptions are what a process of a node needs to know.
type RunOptions struct {
	StateDir string
	RunDir   string
	// Version is that of this program.
	Version string
	// Instance tells several nodes on one machine apart; empty: there is one.
	Instance string
	// GuardFD is the file descriptor of the link to the guardian (daemon and
	// volume-server only).
	GuardFD int
	// Watchdog is the device (guardian only); empty: the first there is, "none"
	// for none.
	Watchdog string
	Lang     string
}

// DemoOptions are passed through to the demonstration.
type DemoOptions struct {
	Once  bool   // end by itself, with an error if a fault was not survived
	Fault string // only this one
	JSON  bool
	Keep  bool // leave the files of the nodes behind
	Lang  string
	Out   io.Writer
	Err   io.Writer
}

// InitOptions describe a new cluster.
type InitOptions struct {
	StateDir    string
	ClusterName string
	NodeName    string
	Paths       []cluster.Path
	Detection   time.Duration
	Version     string
}

// InitResult is what was made.
type InitResult struct {
	ClusterID string         `json:"cluster_id"`
	NodeID    cluster.NodeID `json:"node_id"`
	// Next are the next steps, in order.
	Next []string `json:"next,omitempty"`
}

// JoinOptions describe a node that joins.
type JoinOptions struct {
	StateDir string
	Token    string
	NodeName string
	Paths    []cluster.Path
	Role     cluster.Role
	Version  string
}

// JoinResult is what became of a join.
type JoinResult struct {
	ClusterID string         `json:"cluster_id"`
	NodeID    cluster.NodeID `json:"node_id"`
	Next      []string       `json:"next,omitempty"`
}
