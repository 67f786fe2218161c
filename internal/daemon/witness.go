package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/commpath"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

// rescan is how often a witness looks for clusters that it joined meanwhile.
const rescan = 2 * time.Second

// WitnessDir is where a witness keeps its state for one cluster.
func WitnessDir(stateDir, clusterID string) string {
	return filepath.Join(stateDir, "clusters", clusterID)
}

// Witness serves all clusters that this machine joined as a witness, on one
// port, until the context ends. A cluster that it joins later is served within
// seconds; one that fails doesn't disturb the others.
func Witness(ctx context.Context, cfg Config) error {
	hub, err := commpath.Listen(commpath.ListenConfig{Log: cfg.Log, Clock: clock.Now})
	if err != nil {
		return err
	}
	defer hub.Close()
	dirs, err := witnessDirs(cfg.StateDir)
	if err != nil {
		return err
	}
	if len(dirs) == 0 {
		return message.New(message.NotInCluster, cfg.StateDir)
	}
	running := make(map[string]chan error)
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		for _, dir := range dirs {
			if running[dir] != nil {
				continue
			}
			c := cfg
			c.StateDir, c.Hub = dir, hub
			if len(running) > 0 || dir != cfg.StateDir && len(dirs) > 1 {
				c.RunDir = filepath.Join(cfg.RunDir, filepath.Base(dir))
			}
			done := make(chan error, 1)
			running[dir] = done
			go func() { done <- Run(ctx, c) }()
		}
		for dir, done := range running {
			select {
			case err := <-done:
				if ctx.Err() == nil && err != nil {
					cfg.Log.Error("the witness of a cluster ended and is started again", "dir", dir, "err", err)
				}
				delete(running, dir)
			default:
			}
		}
		select {
		case <-ctx.Done():
			for _, done := range running {
				<-done
			}
			return nil
		case <-tick.C:
		}
		if dirs, err = witnessDirs(cfg.StateDir); err != nil {
			cfg.Log.Error("look for clusters", "err", err)
		}
	}
}

// witnessDirs lists the state directories of the clusters.
func witnessDirs(stateDir string) ([]string, error) {
	var dirs []string
	if _, err := os.Stat(filepath.Join(stateDir, identityFile)); err == nil {
		dirs = append(dirs, stateDir)
	}
	all, err := os.ReadDir(filepath.Join(stateDir, "clusters"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, message.New(message.IdentityUnreadable, stateDir, err).Wrap(err)
	}
	for _, e := range all {
		dir := filepath.Join(stateDir, "clusters", e.Name())
		if id, err := loadIdentity(dir); err == nil && id.Role == cluster.RoleWitness {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}
