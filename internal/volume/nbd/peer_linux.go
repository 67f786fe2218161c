package nbd

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peer says who is at the other end of a unix socket: the protocol has no names.
func peer(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return c.RemoteAddr().String()
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return "unix"
	}
	who := "unix"
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			who = fmt.Sprintf("uid %d pid %d", cred.Uid, cred.Pid)
		}
	})
	return who
}
