//go:build !windows

package api

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

func socketPath(runDir string) string { return filepath.Join(runDir, SocketName) }

func dial(ctx context.Context, runDir string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", socketPath(runDir))
}

// listen makes the socket in a directory of mode 0700, so that nobody can
// connect in the moment before the socket's own mode is set.
func listen(runDir string) (net.Listener, error) {
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(runDir, 0o700); err != nil {
		return nil, err
	}
	path := socketPath(runDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}
