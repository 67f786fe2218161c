package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestDamage hurts the state directories of a cluster of three in service.
func TestDamage(t *testing.T) {
	a, b, c := newMachine(t, "a", 21, 1), newMachine(t, "b", 21, 2), newMachine(t, "c", 21, 3)
	small := smallDisk(t, a)
	begin(t, a)
	b.join(t, a.token(t, cluster.RoleNode), cluster.RoleNode)
	c.join(t, a.token(t, cluster.RoleNode), cluster.RoleNode)
	voters(t, a, 3)
	s := &shop{nodes: []*machine{a, b, c}}
	s.service = protect(t, a, "app", "a", "b")

	t.Run("no room for a joiner", func(t *testing.T) { noRoom(t, s) })
	t.Run("damaged log", func(t *testing.T) { damagedLog(t, s) })
	t.Run("lost log", func(t *testing.T) { lostLog(t, s) })
	t.Run("disk full", func(t *testing.T) {
		if !small {
			t.Skip("no root: no small disk can be mounted")
		}
		fullDisk(t, s)
	})
}

// smallDisk gives a machine a state directory on a disk of a few megabytes.
func smallDisk(t *testing.T, m *machine) bool {
	if !rooted() {
		return false
	}
	if err := os.MkdirAll(m.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", m.state(), "tmpfs", 0, "size=6m"); err != nil {
		t.Logf("mount a small disk: %v", err)
		return false
	}
	// Cleanups run backwards: the machine is off by then.
	t.Cleanup(func() { _ = unix.Unmount(m.state(), unix.MNT_DETACH) })
	return true
}

// noRoom joins with a full disk: the token stays good.
func noRoom(t *testing.T, s *shop) {
	if !rooted() {
		t.Skip("no root: no small disk can be mounted")
	}
	z := newMachine(t, "z", 21, 20)
	if !smallDisk(t, z) {
		t.Skip("no small disk can be mounted")
	}
	token := s.nodes[1].token(t, cluster.RoleNode)
	ballast := fill(t, z.state())
	words := append([]string{"join", token, "--node", "z"}, z.paths()...)
	s.refuses(t, z, "PD8122", []string{"no space left"}, words...)
	z.refuses(t, "PD8122", []string{"no space left"}, append([]string{"init", "--node", "z"}, z.paths()...)...)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	z.must(t, words...)
	s.nodes[1].must(t, "node", "remove", "z", "-y")
}

// damagedLog turns a byte over in the middle of what a node has acknowledged.
// The node finds out, asks for a new id by itself and votes again.
func damagedLog(t *testing.T, s *shop) {
	a, c := s.nodes[0], s.nodes[2]
	pid, was := servicePID(t, s.service), idOf(t, a, "c")
	c.must(t, "node", "stop")
	c.ended(t, settle)
	logs, err := filepath.Glob(filepath.Join(c.state(), "log", "*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no log: %v", err)
	}
	file := logs[len(logs)-1]
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const head = 4096 // records follow; see package wal
	used := len(bytes.TrimRight(data, "\x00"))
	if used < head+1000 {
		t.Fatalf("only %d bytes in %s", used, file)
	}
	// Between records there is padding, which says nothing: eight bytes without a
	// zero are inside one.
	at := head + (used-head)/2
	for bytes.IndexByte(data[at:at+8], 0) >= 0 {
		at++
	}
	data[at+4] ^= 0x10
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c.on(t, cluster.RoleNode)
	rejoined(t, s, was, pid)
}

// lostLog takes a node's log away.
func lostLog(t *testing.T, s *shop) {
	a, c := s.nodes[0], s.nodes[2]
	pid, was := servicePID(t, s.service), idOf(t, a, "c")
	c.must(t, "node", "stop")
	c.ended(t, settle)
	if err := os.RemoveAll(filepath.Join(c.state(), "log")); err != nil {
		t.Fatal(err)
	}
	c.on(t, cluster.RoleNode)
	rejoined(t, s, was, pid)
}

// rejoined waits until c votes under a new id while the service runs on.
func rejoined(t *testing.T, s *shop, was cluster.NodeID, pid int) {
	t.Helper()
	a, c := s.nodes[0], s.nodes[2]
	until(t, "c votes under a new id", 2*settle, func() error {
		v, err := a.view()
		if err != nil {
			return err
		}
		n := v.State.NodeByName("c")
		if n == nil || n.ID == was || n.Presence != cluster.Present || !slices.Contains(v.State.Voters, n.ID) ||
			len(v.State.Voters) != 3 || len(v.State.Nodes) != 3 {
			return fmt.Errorf("voters %v, nodes %+v", v.State.Voters, v.State.Nodes)
		}
		return nil
	})
	c.admitted(t)
	if now := servicePID(t, s.service); now != pid {
		t.Errorf("the service was started again: process %d, then %d", pid, now)
	}
	if !logs(c, "PD8106") || !logs(c, "PD8107") {
		t.Errorf("the node doesn't say what happened\n%s", c.tail(30))
	}
}

func idOf(t *testing.T, m *machine, name string) cluster.NodeID {
	t.Helper()
	v, err := m.view()
	if err != nil || v.State.NodeByName(name) == nil {
		t.Fatalf("no node %s: %v", name, err)
	}
	return v.State.NodeByName(name).ID
}

// fill writes a file until the disk is full.
func fill(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return f.Name()
}

// fullDisk fills the owner's state directory. It says so, keeps its service, and
// goes on when there is room again; whatever was acknowledged is still known.
func fullDisk(t *testing.T, s *shop) {
	a, b := s.nodes[0], s.nodes[1]
	pid := servicePID(t, s.service)
	ballast := fill(t, a.state())
	// Commands go on at the others until the segment that is open here is full.
	b.must(t, "hierarchy", "create", "notes", "--nodes", "b")
	b.must(t, "resource", "create", "process", "note", "-H", "notes", "command=/bin/true")
	value := strings.Repeat("x", 4000)
	count, acknowledged := 0, ""
	until(t, "the full disk is told of", 4*settle, func() error {
		count++
		word := fmt.Sprintf("A%d", count)
		set := b.perdure("resource", "set", "notes/note", "env="+word+"="+value, "directory=/"+value, "command=/bin/true "+value)
		if set.code == 0 {
			acknowledged = word
		}
		page := a.perdure("status").out
		if !strings.Contains(page, "no space left") {
			return fmt.Errorf("after %d commands: %s\n%v", count, page, short(set))
		}
		return nil
	})
	if now := servicePID(t, s.service); now != pid {
		t.Errorf("the service was started again: process %d, then %d", pid, now)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "it goes on", 2*settle, func() error {
		page := a.perdure("status").out
		if strings.Contains(page, "no space left") || !strings.HasPrefix(page, "SAFE") {
			return errors.New(page)
		}
		return nil
	})
	if now := servicePID(t, s.service); now != pid {
		t.Errorf("the service was started again: process %d, then %d", pid, now)
	}
	if shown := a.must(t, "resource", "show", "notes/note"); !strings.Contains(shown, acknowledged+"=") {
		t.Errorf("%s was acknowledged and is not known: %.300s", acknowledged, shown)
	}
}
