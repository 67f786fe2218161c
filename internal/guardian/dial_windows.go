package guardian

import (
	"io"
	"os"

	"golang.org/x/sys/windows"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Dial takes the daemon's end of the connection: its standard input and output.
// What the daemon prints must go to the standard error.
func Dial(uintptr) (*Client, error) {
	return newClient(&stream{r: os.Stdin, w: os.Stdout, c: closers(os.Stdin, os.Stdout)}), nil
}

// DialLease takes the volume-server's end of the connection, which is as the
// daemon's.
func DialLease(uintptr) (*Lease, error) {
	return &Lease{&stream{r: os.Stdin, w: os.Stdout, c: closers(os.Stdin, os.Stdout)}}, nil
}

func closers(c ...io.Closer) []io.Closer { return c }

// becomeGuardian raises the priority of this process.
func becomeGuardian() []cluster.Reason {
	_ = windows.SetPriorityClass(windows.CurrentProcess(), windows.HIGH_PRIORITY_CLASS)
	return nil
}

// bootID: the run directory is kept across boots on Windows, so a state without
// a boot's id is never taken over.
func bootID() string { return newSession() }

func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
}
