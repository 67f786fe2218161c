package api

import (
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"strings"

	"github.com/Microsoft/go-winio"
)

// pipeAccess lets in the system and administrators: SDDL, protected, full
// access for SY and BA.
// Source: Security Descriptor String Format, Microsoft.
const pipeAccess = "D:P(A;;GA;;;SY)(A;;GA;;;BA)"

// socketPath names the pipe. Several daemons on one machine differ by their run
// directories.
func socketPath(runDir string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.ToLower(runDir)))
	return fmt.Sprintf(`\\.\pipe\perdure-%08x`, h.Sum32())
}

func dial(ctx context.Context, runDir string) (net.Conn, error) {
	return winio.DialPipeContext(ctx, socketPath(runDir))
}

func listen(runDir string) (net.Listener, error) {
	return winio.ListenPipe(socketPath(runDir), &winio.PipeConfig{SecurityDescriptor: pipeAccess})
}
