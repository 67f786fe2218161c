package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/perdure-ha/perdure/internal/cli"
	"github.com/perdure-ha/perdure/internal/lab/keeper"
)

// lab joins the commands of the lab with the keeper; nodes run this very binary.
func lab() *cli.Lab {
	return &cli.Lab{
		Up: func(ctx context.Context, o cli.LabUpOptions) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			c := keeper.Config{Kind: o.Kind, Nodes: o.Nodes, Witness: o.Witness, Watchdog: o.Watchdog, Systemd: o.Systemd, Storage: o.Storage,
				Detection: o.Detection, Keep: o.Keep, Lang: o.Lang}
			return keeper.Up(ctx, person(o.LabOptions), c, self, o.Foreground)
		},
		Status: func(ctx context.Context, o cli.LabOptions) error { return keeper.Status(ctx, person(o)) },
		List:   func(ctx context.Context, o cli.LabOptions) error { return keeper.List(ctx, person(o)) },
		Run: func(ctx context.Context, o cli.LabOptions, words []string, times int) error {
			return keeper.Run(ctx, person(o), words, times)
		},
		SSH: func(ctx context.Context, o cli.LabOptions, node string, command []string) (int, error) {
			return keeper.SSH(ctx, person(o), node, command)
		},
		Down: func(ctx context.Context, o cli.LabOptions) error { return keeper.Down(ctx, person(o)) },
		Keep: func(ctx context.Context, config string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			var c keeper.Config
			if err := json.Unmarshal([]byte(config), &c); err != nil {
				return fmt.Errorf("read what lab up wrote: %w", err)
			}
			return keeper.Keep(ctx, c, keeper.OpenMachines(self))
		},
	}
}

func person(o cli.LabOptions) keeper.Person {
	return keeper.Person{Lang: o.Lang, JSON: o.JSON, In: o.In, Out: o.Out, Err: o.Err, Terminal: keeper.IsTerminal(o.Err)}
}
