package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/google/nftables"
)

// gateInterval is the time between two removals of the gate.
const gateInterval = 5 * time.Millisecond

// breakGate deletes all nftables of the guest, again and again until ctx ends. No
// fault of the vocabulary does this.
func breakGate(ctx context.Context) error {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	defer func() { _ = conn.CloseLasting() }()
	ticker := time.NewTicker(gateInterval)
	defer ticker.Stop()
	for {
		tables, err := conn.ListTables()
		if err != nil {
			return fmt.Errorf("list nftables: %w", err)
		}
		for _, t := range tables {
			conn.DelTable(t)
		}
		// What was deleted by its owner meanwhile fails the whole batch; the next
		// round finds what is left.
		_ = conn.Flush()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
