package main

import (
	"context"
	"log/slog"
	"os"
	"strconv"

	"github.com/perdure-ha/perdure/internal/cli"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/daemon"
)

// runners joins the command line with the parts that run.
func runners() cli.Runners {
	return cli.Runners{
		Guardian: runGuardian,
		Daemon: func(ctx context.Context, o cli.RunOptions) error {
			return daemon.Node(ctx, config(o), uintptr(o.GuardFD))
		},
		VolumeServer: func(ctx context.Context, o cli.RunOptions) error {
			return daemon.VolumeServer(ctx, config(o), uintptr(o.GuardFD))
		},
		Witness: func(ctx context.Context, o cli.RunOptions) error { return daemon.Witness(ctx, config(o)) },
		Demo:    runDemo,
		Lab:     lab(),
		Init:    runInit,
		Join:    runJoin,
		Kits:    daemon.Kits(),
	}
}

func config(o cli.RunOptions) daemon.Config {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return daemon.Config{StateDir: o.StateDir, RunDir: o.RunDir, Software: o.Version, Instance: o.Instance, Log: log}
}

func runGuardian(ctx context.Context, o cli.RunOptions) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{self, "daemon", "--guard-fd", strconv.Itoa(3), "--state-dir", o.StateDir, "--run-dir", o.RunDir}
	if o.Instance != "" {
		args = append(args, "--instance", o.Instance)
	}
	volumes := []string{self, "volume-server", "--guard-fd", strconv.Itoa(3), "--run-dir", o.RunDir}
	return daemon.Guardian(ctx, daemon.GuardianConfig{Config: config(o), Daemon: args, VolumeServer: volumes, Watchdog: o.Watchdog})
}

func runInit(_ context.Context, o cli.InitOptions) (cli.InitResult, error) {
	id, err := daemon.Init(daemon.InitOptions{
		StateDir: o.StateDir, ClusterName: o.ClusterName, NodeName: o.NodeName, Paths: o.Paths,
		Detection: o.Detection, Software: o.Version,
	})
	if err != nil {
		return cli.InitResult{}, err
	}
	return cli.InitResult{ClusterID: id.Cluster, NodeID: id.Node}, nil
}

func runJoin(ctx context.Context, o cli.JoinOptions) (cli.JoinResult, error) {
	join := daemon.Join
	if o.Role == cluster.RoleWitness {
		join = daemon.JoinWitness
	}
	id, err := join(ctx, daemon.JoinOptions{
		StateDir: o.StateDir, Token: o.Token, NodeName: o.NodeName, Role: o.Role, Paths: o.Paths, Software: o.Version,
	})
	if err != nil {
		return cli.JoinResult{}, err
	}
	return cli.JoinResult{ClusterID: id.Cluster, NodeID: id.Node}, nil
}
