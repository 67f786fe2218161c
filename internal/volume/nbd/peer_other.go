//go:build !linux

package nbd

import "net"

func peer(c net.Conn) string { return c.RemoteAddr().String() }
