package process

import (
	"syscall"
	"testing"

	"github.com/perdure-ha/perdure/internal/platform/proc"
)

func kill(t *testing.T, id proc.ID) { send(t, id, syscall.SIGKILL) }
func halt(t *testing.T, id proc.ID) { send(t, id, syscall.SIGSTOP) }

func send(t *testing.T, id proc.ID, sig syscall.Signal) {
	t.Helper()
	h, err := proc.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Signal(sig); err != nil {
		t.Fatal(err)
	}
}
