package api

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// SocketName is the socket's file in the run directory.
const SocketName = "perdure.sock"

// SocketPath is where the API of the daemon with this run directory listens.
func SocketPath(runDir string) string { return socketPath(filepath.Clean(runDir)) }

// Listen opens the API's socket for this user alone. The directory is made if
// it is missing; what a dead daemon left there is replaced, a living one's is
// not.
func Listen(runDir string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c, err := dial(ctx, filepath.Clean(runDir)); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("listen on %s: another daemon answers there", SocketPath(runDir))
	}
	l, err := listen(filepath.Clean(runDir))
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", SocketPath(runDir), err)
	}
	return l, nil
}
