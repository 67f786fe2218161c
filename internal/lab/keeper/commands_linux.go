package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/demo"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// downWait bounds an orderly end: machines are switched off at once, and logs
	// are read out of them if they are wanted.
	downWait = 90 * time.Second
	// killedWait bounds the wait for a killed process to be gone.
	killedWait = 10 * time.Second
)

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// ask returns a client of the keeper, or says that no lab is up.
func ask(p place) (*caller, error) {
	if os.Geteuid() != 0 {
		return nil, message.New(message.LabNeedsRoot)
	}
	locked, err := p.locked()
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, message.New(message.LabNotUp)
	}
	return dial(p.socket()), nil
}

// silent turns a keeper that doesn't answer into a message.
func silent(p place, err error) error {
	var timeout interface{ Timeout() bool }
	if err == nil || !errors.As(err, &timeout) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	who, _ := p.read()
	return message.New(message.LabSilent, who.PID)
}

// Status says how the lab is.
func Status(ctx context.Context, p Person) error {
	at := defaultPlace()
	c, err := ask(at)
	if err != nil {
		return err
	}
	look, err := c.look(ctx)
	if err != nil {
		return silent(at, err)
	}
	if p.JSON {
		return writeJSON(p.Out, look)
	}
	p.status(look)
	return nil
}

// List says what can be played: on the lab that is up, or at all.
func List(ctx context.Context, p Person) error {
	at := defaultPlace()
	var o Offer
	c, err := ask(at)
	up := err == nil
	if up {
		if o, err = c.offer(ctx, p.Lang); err != nil {
			return silent(at, err)
		}
	} else {
		for _, s := range demo.Scenarios() {
			o.Scenarios = append(o.Scenarios, Item{Name: s.Name, Title: s.Title.In(p.Lang)})
		}
	}
	if p.JSON {
		return writeJSON(p.Out, o)
	}
	p.list(o)
	if !up {
		p.print("no-lab")
	}
	return nil
}

// Run plays scenarios, or injects a fault.
func Run(ctx context.Context, p Person, words []string, times int) error {
	at := defaultPlace()
	c, err := ask(at)
	if err != nil {
		return err
	}
	err = c.run(ctx, Play{Words: words, Times: times, Lang: p.Lang, JSON: p.JSON, Terminal: p.Terminal}, p.Out, p.Err)
	if ctx.Err() != nil {
		if p.Terminal {
			fmt.Fprint(p.Err, "\r\x1b[K")
		}
		return message.New(message.LabRunInterrupted)
	}
	return silent(at, err)
}

// SSH runs a program on a node, or a shell, and returns its exit status.
func SSH(ctx context.Context, p Person, node string, command []string) (int, error) {
	at := defaultPlace()
	c, err := ask(at)
	if err != nil {
		return 0, err
	}
	s := Session{Argv: argv(command), In: p.In, Out: p.Out, Err: p.Err}
	restore, err := atTerminal(p, &s)
	if err != nil {
		return 0, err
	}
	code, err := c.attach(ctx, node, s)
	restore()
	return code, silent(at, err)
}

// argv is the program: a shell for none, a line for a shell for one word, the words
// as they are for more.
func argv(command []string) []string {
	switch len(command) {
	case 0:
		return []string{"/bin/bash", "-l"}
	case 1:
		return []string{"/bin/sh", "-c", command[0]}
	}
	// By env, which looks the program up where the node does and says what it
	// didn't find.
	return append([]string{"/usr/bin/env", "--"}, command...)
}

// Down ends the lab, and removes all that is left of one.
func Down(ctx context.Context, p Person) error {
	if os.Geteuid() != 0 {
		return message.New(message.LabNeedsRoot)
	}
	at := defaultPlace()
	locked, err := at.locked()
	if err != nil {
		return err
	}
	if !locked {
		return downStale(p, at)
	}
	who, err := at.read()
	if err != nil {
		return message.New(message.LabStarting)
	}
	ending, cancel := context.WithTimeout(ctx, downWait)
	defer cancel()
	way := showWay(p)
	last, err := dial(at.socket()).follow(ending, "POST", pathDown, func(p Progress) {
		if p.Phase == Closes || p.Phase == Closed {
			way.step(p) // how it came up is long ago
		}
	})
	way.close()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = at.awaitUnlocked(ctx, killedWait)
	}
	if err != nil {
		return downKilled(ctx, p, at, who)
	}
	p.print("down-done", who.Config.Nodes)
	if last.Kept != "" {
		p.print("down-kept", last.Kept)
	}
	if last.Failure != nil {
		return message.New(message.LabLeft, last.Failure.Text)
	}
	return nil
}

// downStale removes what a dead keeper left.
func downStale(p Person, at place) error {
	who, err := at.read()
	if errors.Is(err, os.ErrNotExist) {
		p.print("down-none")
		return nil
	}
	p.print("down-dead", who.PID)
	return clean(p, at, who)
}

// downKilled ends a keeper that doesn't end by itself.
func downKilled(ctx context.Context, p Person, at place, who record) error {
	if err := who.kill(); err != nil {
		return err
	}
	if err := at.awaitUnlocked(ctx, killedWait); err != nil {
		return err
	}
	p.print("down-killed", who.PID)
	return clean(p, at, who)
}

// clean removes all of a lab whose keeper is dead.
func clean(p Person, at place, who record) error {
	lock, err := at.lock()
	if errors.Is(err, errLocked) {
		return message.New(message.LabStarting) // somebody was quick
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	awaitJanitor(who)
	removed, err := at.sweep(who)
	err = errors.Join(err, at.clear())
	if len(removed) > 0 {
		fmt.Fprintln(p.Out, demo.Wrap(p.say("down-removed", strings.Join(removed, " ")), widest))
	}
	return err
}

// awaitJanitor waits for the lab's own janitor, who has heard of the keeper's death
// when we have. What it leaves is swept.
func awaitJanitor(who record) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for end := time.Now().Add(killedWait); who.Dir != "" && time.Now().Before(end); <-ticker.C {
		if _, err := os.Stat(who.Dir); errors.Is(err, os.ErrNotExist) {
			return
		}
	}
}

// awaitUnlocked waits until the keeper is gone.
func (p place) awaitUnlocked(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		locked, err := p.locked()
		if err != nil || !locked {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the keeper to be gone: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
