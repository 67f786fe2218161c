package pki

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/perdure-ha/perdure/internal/message"
)

func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	a := newAuthority(t, "blue")
	l := newLeaf(t, a, 7, today)
	k, err := NewHeartbeatKey()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time over existing files
		if err := errors.Join(a.Save(dir), SaveCA(dir, a.Cert), l.Save(dir), SaveHeartbeatKey(dir, k)); err != nil {
			t.Fatal(err)
		}
	}
	a2, err := LoadAuthority(dir)
	if err != nil || a2.Cluster != "blue" || Pin(a2.Cert) != Pin(a.Cert) {
		t.Errorf("authority: %+v, %v", a2, err)
	}
	if _, err := a2.Issue(l.Identity, today); err != nil {
		t.Error(err)
	}
	if ca, err := LoadCA(dir); err != nil || !ca.Equal(a.Cert) {
		t.Errorf("CA: %v", err)
	}
	if l2, err := LoadLeaf(dir); err != nil || l2.Identity != l.Identity {
		t.Errorf("leaf: %+v, %v", l2, err)
	}
	if k2, err := LoadHeartbeatKey(dir); err != nil || HeartbeatPublic(k2) != HeartbeatPublic(k) {
		t.Errorf("heartbeat key: %v", err)
	}
	if runtime.GOOS == "windows" {
		return // access there is the directory's list
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	a := newAuthority(t, "blue")
	good := t.TempDir()
	if err := errors.Join(a.Save(good), newLeaf(t, a, 1, today).Save(good)); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(good, NodeFile))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(good, AuthorityFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"empty":          {},
		"cut off":        content[:len(content)/2],
		"something else": []byte("hello\n"),
		"more behind":    append(append([]byte(nil), content...), "x"...),
		"too large":      make([]byte, maxFile+1),
		"the CA's":       authority,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, NodeFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadLeaf(dir); !says(err, message.KeyFileUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadHeartbeatKey(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
