//go:build !linux

package webserver

import (
	"errors"
	"net"
	"net/netip"
)

func listenShared(netip.AddrPort) (net.Listener, error) {
	return nil, errors.New("addresses are shared on Linux only")
}
