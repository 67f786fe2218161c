package kernel

import (
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/volume/nbd"
)

// TestWithoutNBD: a kernel without it is named in words.
func TestWithoutNBD(t *testing.T) {
	if _, err := open(); err == nil {
		t.Skip("SKIPPED: this kernel has NBD")
	}
	s := nbd.NewServer(nbd.Config{})
	if _, err := Attach(s, nil, Options{Backend: "x"}); err == nil || !strings.Contains(err.Error(), "modprobe nbd") && !strings.Contains(err.Error(), "NBD") {
		t.Errorf("attach without NBD: %v", err)
	}
	if _, err := Attach(s, nil, Options{}); err == nil {
		t.Error("attached without an identifier")
	}
}
