package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/estate"
)

const (
	// partWait bounds the wait for those who still listen when the keeper ends.
	partWait = 3 * time.Second
	// headerWait bounds how long a request may take to come.
	headerWait = 5 * time.Second
	// lockFD is the lock that lab up hands on, see start.
	lockFD = 3
)

// Keep owns a lab until ctx ends or somebody asks for the end. The lock is that of
// lab up, inherited.
func Keep(ctx context.Context, c Config, open Open) error {
	syscall.CloseOnExec(lockFD)
	lock := os.NewFile(lockFD, lockFile)
	p := defaultPlace()
	if lock == nil || !p.holds(lock) {
		return errors.New("lab keep is started by perdure lab up")
	}
	return keep(ctx, p, lock, c, open)
}

// keep is the keeper's whole life. It takes over the lock.
func keep(ctx context.Context, p place, lock *os.File, c Config, open Open) (err error) {
	defer lock.Close()
	ctx, end := context.WithCancel(ctx)
	defer end()
	estate.Rank(os.Getpid())
	who, err := self(c)
	if err != nil {
		return err
	}
	if err := p.write(who); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.clear()) }()
	l, err := listen(p.socket())
	if err != nil {
		return err
	}
	s := newServer(who, end)
	h := &http.Server{Handler: s.handler(), ReadHeaderTimeout: headerWait}
	var serving sync.WaitGroup
	serving.Go(func() { _ = h.Serve(l) }) // ends by Shutdown
	defer func() {
		parting, cancel := context.WithTimeout(context.Background(), partWait)
		defer cancel()
		if h.Shutdown(parting) != nil {
			_ = h.Close() // somebody listens for ever
		}
		serving.Wait()
	}()

	fmt.Fprintf(os.Stderr, "%s keeper %d: %d nodes of kind %s\n", time.Now().Format(time.RFC3339), who.PID, c.Nodes, c.Kind)
	lab, err := open(ctx, c, s.say)
	if err != nil {
		if ctx.Err() != nil {
			s.say(Progress{Phase: Closed, Fraction: -1, Left: -1})
			return nil // what it was is on its way down anyhow
		}
		fmt.Fprintln(os.Stderr, err)
		s.say(Progress{Phase: Failing, Fraction: -1, Left: -1, Failure: failureOf(err)})
		return err
	}
	if dir := lab.Look().Dir; dir != "" {
		who.Dir = dir
		if err := p.write(who); err != nil {
			fmt.Fprintln(os.Stderr, err) // only the cleaning after a crash wants it
		}
	}
	s.opened(lab)
	<-ctx.Done()
	s.closing()
	kept, err := lab.Close()
	s.attached.Wait() // their machines are gone
	if kept != "" {
		// The log is worth as much as those of the nodes.
		if text, err := os.ReadFile(p.log()); err == nil {
			_ = os.WriteFile(filepath.Join(kept, logFile), text, 0o600)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	s.say(Progress{Phase: Closed, Fraction: -1, Left: -1, Failure: failureOf(err), Kept: kept})
	return err
}

// listen makes the socket, for its owner alone.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("make the keeper's socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("make the keeper's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("make the keeper's socket: %w", err), l.Close())
	}
	return l, nil
}
