package space

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Past is a deadline that is over.
var Past = time.Unix(1, 0)

// Dial opens a TCP connection from inside the namespace, through device unless
// that is empty. Only the making of the socket runs on the namespace's thread.
func (s *Space) Dial(ctx context.Context, device string, addr netip.AddrPort) (net.Conn, error) {
	var fd int
	err := s.Do(func() (err error) {
		family := unix.AF_INET
		if addr.Addr().Is6() {
			family = unix.AF_INET6
		}
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	file := os.NewFile(uintptr(fd), "tcp")
	defer file.Close()
	if device != "" {
		if err := unix.BindToDevice(fd, device); err != nil {
			return nil, fmt.Errorf("bind socket to %s: %w", device, err)
		}
	}
	if err := unix.Connect(fd, sockaddr(addr)); err != nil && err != unix.EINPROGRESS {
		return nil, os.NewSyscallError("connect", err)
	}
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("hand over socket: %w", err)
	}
	if err := waitConnected(ctx, conn.(*net.TCPConn)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// waitConnected waits for the end of a connect that was begun.
func waitConnected(ctx context.Context, conn *net.TCPConn) error {
	release := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(Past) })
	defer release()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			failed = err
		case code != 0:
			failed = os.NewSyscallError("connect", unix.Errno(code))
		default:
			_, err := unix.Getpeername(int(fd))
			return err == nil
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return failed
}

func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
}
