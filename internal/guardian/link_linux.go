package guardian

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// packets is a SEQPACKET socket: the kernel keeps the bounds, and says when the
// other end is gone.
type packets struct {
	conn *net.UnixConn
	buf  [maxMessage + 1]byte // of Receive
}

// newPackets returns the guardian's end, and the daemon's as a file to be
// inherited.
func newPackets() (link, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the socket for the daemon: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "guardian")
	ours, err := packetsOf(uintptr(fds[0]))
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// packetsOf takes over a file descriptor. It is not inherited further, so that
// the guardian sees the daemon's end and not that of a service.
func packetsOf(fd uintptr) (link, error) {
	unix.CloseOnExec(int(fd))
	f := os.NewFile(fd, "guardian")
	if f == nil {
		return nil, fmt.Errorf("file descriptor %d is not valid", fd)
	}
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("file descriptor %d is no socket: %w", fd, err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("file descriptor %d is no unix socket", fd)
	}
	return &packets{conn: u}, nil
}

func (p *packets) Send(b []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err := p.conn.Write(b)
	return err
}

func (p *packets) Receive() ([]byte, error) {
	n, err := p.conn.Read(p.buf[:])
	if err == nil && n == 0 {
		err = io.EOF
	}
	return p.buf[:n], err
}

func (p *packets) Close() error { return p.conn.Close() }
