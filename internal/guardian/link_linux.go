package guardian

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/platform/quiet"
)

// packets is a SEQPACKET socket: the kernel keeps the bounds, and says when the
// other end is gone.
type packets struct {
	conn net.Conn
	raw  syscall.RawConn
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
	raw, err := u.SyscallConn()
	if err != nil {
		_ = u.Close()
		return nil, err
	}
	return &packets{conn: quiet.Conn(u), raw: raw}, nil
}

func (p *packets) Send(b []byte) error {
	// There is nearly always room. Without a deadline until there is none: each
	// is a timer, and would wake the process for nothing later.
	var first error
	if err := p.raw.Write(func(fd uintptr) bool {
		_, first = quiet.Send(fd, b)
		return true
	}); err != nil {
		return err
	}
	if first != unix.EAGAIN {
		return os.NewSyscallError("sendto", first)
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err := p.conn.Write(b)
	return errors.Join(err, p.conn.SetWriteDeadline(time.Time{}))
}

func (p *packets) Receive() ([]byte, error) {
	n, err := p.conn.Read(p.buf[:])
	return p.buf[:n], err
}

func (p *packets) Close() error { return p.conn.Close() }
