package keeper

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// elsewhere is a place of the test's own.
func elsewhere(t *testing.T) place {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lab")
	t.Setenv("PERDURE_LAB_DIR", dir)
	return place(dir)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: the lab's commands need root")
	}
}

// TestKeeperLife keeps a lab without machines in this process: one at a time, with
// the lock, and nothing stays.
func TestKeeperLife(t *testing.T) {
	needRoot(t)
	at := elsewhere(t)
	var said bytes.Buffer
	person := Person{Lang: "en", Out: &said, Err: &said}
	lock, err := at.claim(person)
	if err != nil {
		t.Fatal(err)
	}
	lab := &fakeLab{}
	ended := make(chan error, 1)
	go func() {
		ended <- keep(t.Context(), at, lock, Config{Kind: "uml", Nodes: 3}, func(context.Context, Config, func(Progress)) (Lab, error) { return lab, nil })
	}()
	if err := at.awaitSocket(soon(t), ended); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(at.socket()).follow(soon(t), "GET", pathProgress, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := at.claim(person); !message.Has(err, message.LabIsUp) {
		t.Errorf("a second lab: %v", err)
	}
	if info, err := os.Stat(at.socket()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if err := Down(soon(t), person); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil || !lab.closed {
		t.Errorf("the keeper's end: %v, closed %v", err, lab.closed)
	}
	if _, err := os.Stat(string(at)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory stays: %v", err)
	}
	said.Reset()
	if err := Down(soon(t), person); err != nil || !strings.Contains(said.String(), "no lab is up") {
		t.Errorf("down again: %v, %s", err, said.String())
	}
}

// TestFailedLabLeavesNothing: so does one that couldn't be made.
func TestFailedLabLeavesNothing(t *testing.T) {
	needRoot(t)
	at := elsewhere(t)
	lock, err := at.claim(Person{Lang: "en", Err: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if err := keep(t.Context(), at, lock, Config{}, func(context.Context, Config, func(Progress)) (Lab, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Error(err)
	}
	if _, err := os.Stat(string(at)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory stays: %v", err)
	}
}

// TestRefusals is what a person hears who has no lab, or asks for what can't be.
func TestRefusals(t *testing.T) {
	needRoot(t)
	at := elsewhere(t)
	p := Person{Lang: "en", Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	if err := Status(soon(t), p); !message.Has(err, message.LabNotUp) {
		t.Errorf("status: %v", err)
	}
	if err := Run(soon(t), p, []string{"power-loss"}, 1); !message.Has(err, message.LabNotUp) {
		t.Errorf("run: %v", err)
	}
	if _, err := SSH(soon(t), p, "n1", nil); !message.Has(err, message.LabNotUp) {
		t.Errorf("ssh: %v", err)
	}
	if err := Up(soon(t), p, Config{Kind: "vbox", Nodes: 3}, "", false); !message.Has(err, message.LabOption) {
		t.Errorf("up: %v", err)
	}
	t.Setenv("PATH", "/nowhere")
	if err := Up(soon(t), p, Config{Kind: "uml", Nodes: 3}, "", false); !message.Has(err, message.LabLacks) || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("without programs: %v", err)
	}
	if err := os.Mkdir(string(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := at.lock(); !message.Has(err, message.LabForeign) {
		t.Errorf("a directory open to others: %v", err)
	}
}

// TestStaleRecord: what a dead keeper left is removed, and said; a process that has
// its id now isn't touched.
func TestStaleRecord(t *testing.T) {
	needRoot(t)
	at := elsewhere(t)
	lock, err := at.lock()
	if err != nil {
		t.Fatal(err)
	}
	me, err := self(Config{Kind: "uml", Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	me.Start-- // an earlier process with the id of this one
	if err := at.write(me); err != nil {
		t.Fatal(err)
	}
	if err := me.kill(); err != nil {
		t.Error(err) // and this process lives
	}
	lock.Close()
	var said bytes.Buffer
	p := Person{Lang: "en", Out: &said, Err: &said}
	if err := Down(soon(t), p); err != nil || !strings.Contains(said.String(), "died without cleaning up") {
		t.Errorf("%v: %s", err, said.String())
	}
	if _, err := os.Stat(string(at)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory stays: %v", err)
	}
}

// TestHungKeeper: one that holds the lock and doesn't answer is told from none.
func TestHungKeeper(t *testing.T) {
	needRoot(t)
	at := elsewhere(t)
	lock, err := at.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	p := Person{Lang: "en", Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	if err := Down(soon(t), p); !message.Has(err, message.LabStarting) {
		t.Errorf("down: %v", err)
	}
	if err := at.write(record{PID: 1 << 22, Since: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := Status(soon(t), p); !message.Has(err, message.LabSilent) {
		t.Errorf("status: %v", err)
	}
}
