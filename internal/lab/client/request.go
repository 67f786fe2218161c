package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// NodeHeader names the node in a reply of the lab's web servers.
const NodeHeader = "X-Node"

// maxReply bounds a reply. The lab's servers send a few hundred bytes.
const maxReply = 64 << 10

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Dial opens one new connection and gives up when the context ends.
type Dial func(ctx context.Context) (net.Conn, error)

// request asks once over a new connection and returns the node that answered.
// A connection each time, because a connection that was open before a failover
// would measure TCP's patience instead of the cluster's.
func request(ctx context.Context, dial Dial) (node string, err error) {
	conn, err := dial(ctx)
	if err != nil {
		return "", err
	}
	defer func() {
		if tcp, ok := conn.(interface{ SetLinger(int) error }); ok && err != nil {
			// No farewell to a peer that doesn't answer: it would be sent again
			// for minutes.
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}()
	// Ends the exchange at the deadline and at Stop, however patient the probe.
	release := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	defer release()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	return readReply(conn)
}

// readReply reads a whole reply: half a page is not a good reply.
func readReply(r io.Reader) (node string, err error) {
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(r, maxReply)), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", statusError(resp.StatusCode)
	}
	return resp.Header.Get(NodeHeader), nil
}

type statusError int

func (s statusError) Error() string { return fmt.Sprintf("status %d", int(s)) }

// class is the short word for an error that the logs and tables use.
func class(err error) string {
	var status statusError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &status):
		return status.Error()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case strings.Contains(err.Error(), "malformed"):
		return "malformed"
	}
	return "error"
}
