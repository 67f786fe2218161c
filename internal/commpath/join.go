package commpath

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// JoinHandler answers somebody who has no certificate yet: only what is in the
// request says who it is.
type JoinHandler func(ctx context.Context, request []byte, from netip.AddrPort) ([]byte, error)

const (
	// joinTime bounds a join request at both ends.
	joinTime = 10 * time.Second
	// joinTryTime bounds the try of one address.
	joinTryTime = 5 * time.Second
)

// SetJoinHandler sets who answers joiners. Without one they are refused.
func (ep *Endpoint) SetJoinHandler(h JoinHandler) { ep.onJoin.Store(&h) }

func (ep *Endpoint) serveJoin(c *conn, from netip.AddrPort) error {
	select {
	case ep.joining <- struct{}{}:
		defer func() { <-ep.joining }()
	default:
		return errors.New("too many joiners at once")
	}
	if err := c.greet(ep.hello(), joinTryTime); err != nil {
		if v, ok := errors.AsType[*VersionError](err); ok {
			ep.refuseVersion(v)
		}
		return err
	}
	t := timesFor(joinTime)
	return ep.answer(c, MaxJoin, t, func(ctx context.Context, request []byte) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, joinTime)
		defer cancel()
		h := ep.onJoin.Load()
		switch {
		case !ep.joins.allow(from.Addr(), ep.hub.clock().Mono):
			return nil, message.New(message.JoinTooOften, from.Addr())
		case h == nil || *h == nil:
			return nil, message.New(message.JoinNotHere)
		}
		return (*h)(ctx, request, from)
	})
}

// JoinTarget is the cluster that a joiner wants to speak to.
type JoinTarget struct {
	ClusterID string
	// Addresses are tried in this order.
	Addresses []string
	// TLS verifies the server: see pki.PinConfig.
	TLS *tls.Config
	// Build is this release's version.
	Build string
}

// JoinCall sends a request of at most [MaxJoin] bytes to the first address that
// answers as the right cluster. An error of the cluster's own is a
// [*RemoteError] and final; otherwise the message says what each address did.
func JoinCall(ctx context.Context, target JoinTarget, request []byte) ([]byte, error) {
	if len(request) > MaxJoin {
		return nil, fmt.Errorf("join request of %d bytes: %w", len(request), ErrTooLarge)
	}
	var failures []error
	for _, a := range target.Addresses {
		response, err := joinOne(ctx, target, a, request)
		if err == nil {
			return response, nil
		}
		if _, said := errors.AsType[*RemoteError](err); said || errors.Is(err, ErrUnanswered) {
			return nil, err
		}
		failures = append(failures, fmt.Errorf("%s: %w", a, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, joinFailure(target, failures)
}

// joinFailure prefers what an address that answers has said: that nothing
// answers at the others is no news then.
func joinFailure(target JoinTarget, failures []error) error {
	for _, err := range failures {
		if _, known := message.From(err); known {
			return fmt.Errorf("join cluster %s at %w", target.ClusterID, err)
		}
	}
	return message.New(message.JoinUnreachable, target.ClusterID, strings.Join(target.Addresses, ", ")).
		Wrap(errors.Join(failures...))
}

func joinOne(ctx context.Context, target JoinTarget, address string, request []byte) ([]byte, error) {
	try, cancel := context.WithTimeout(ctx, joinTryTime)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(try, "tcp", address)
	if err != nil {
		return nil, err
	}
	cfg := target.TLS.Clone()
	cfg.NextProtos = []string{protoJoin}
	cfg.ServerName = serverName(clusterHash(target.ClusterID))
	c := newConn(tls.Client(raw, cfg), joinTryTime)
	defer c.close()
	if err := c.tls.HandshakeContext(try); err != nil {
		remote, said := errors.AsType[*net.OpError](err)
		_, other := errors.AsType[tls.RecordHeaderError](err)
		if said && remote.Op == "remote error" || other {
			return nil, message.New(message.JoinNoCluster, address, target.ClusterID).Wrap(err)
		}
		return nil, err
	}
	if p := c.tls.ConnectionState().NegotiatedProtocol; p != protoJoin {
		return nil, message.New(message.JoinNoCluster, address, target.ClusterID)
	}
	ours := hello{Min: protocolMin, Max: protocolMax, Build: target.Build, Cluster: target.ClusterID}
	if err := c.greet(ours, joinTryTime); err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, joinTime)
	defer stop()
	return ask(ctx, c, request, MaxJoin, joinTime)
}
