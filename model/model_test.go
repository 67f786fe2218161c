package model

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"
)

// missingTools is check.sh's exit status when spin or a C compiler isn't there.
const missingTools = 3

// checkLimit bounds the whole check. It takes less than a minute on one idle
// core; a loaded machine gets the rest.
const checkLimit = 8 * time.Minute

// TestModel has spin search every case: the rules must hold, and each rule left
// out must be caught.
func TestModel(t *testing.T) {
	if testing.Short() {
		t.Skip("the model's search takes a minute; run without -short, or model/check.sh")
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no POSIX shell here, so model/check.sh can't run; the model is checked on Linux")
	}
	ctx, cancel := context.WithTimeout(t.Context(), checkLimit)
	defer cancel()

	cmd := exec.CommandContext(ctx, sh, "check.sh")
	cmd.Env = append(cmd.Environ(), "TMPDIR="+t.TempDir())
	// A search that outlives its shell must not hold the pipe, and the test.
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("check.sh:\n%s", out)

	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == missingTools:
		t.Skip("spin or a C compiler is not installed, so the model was not checked: apt-get install spin gcc")
	case ctx.Err() != nil:
		t.Fatalf("check.sh was not done after %v", checkLimit)
	case err != nil:
		t.Fatalf("run model/check.sh: %v", err)
	}
}
