package commpath

import (
	"crypto/ecdh"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// DefaultPort is the number of the UDP and of the TCP port.
const DefaultPort = 7400

// Path is one comm path of a node. Two nodes are joined by every network name
// that both have.
type Path struct {
	// Network is the same on all nodes that reach each other this way. It is
	// at most 64 bytes.
	Network string
	// Address is bound by its owner and sent to by others: UDP and TCP.
	Address netip.AddrPort
	// Priority orders the paths for TCP: the living path with the lowest
	// number is taken, as with route metrics. Heartbeats take all paths.
	Priority int
}

// Peer is another node of the cluster.
type Peer struct {
	ID cluster.NodeID
	// HeartbeatKey is the public half of its static X25519 key.
	HeartbeatKey [32]byte
	Paths        []Path
}

// ListenConfig is what a [Hub] needs.
type ListenConfig struct {
	// Addresses are bound for as long as the hub lives. The addresses of the
	// endpoints' own paths are bound without being named here.
	Addresses []netip.AddrPort
	// Log may be nil.
	Log *slog.Logger
	// Clock reads the node's two clocks. With nil both are a clock that stands
	// still while the machine is suspended; a node that serves needs a real
	// one.
	Clock func() cluster.Instant
	// WrapPacketConn, if set, is put between the hub and each UDP socket:
	// tests lose, delay and damage packets with it.
	WrapPacketConn func(PacketConn) PacketConn
	// wrapConn does the same for TCP.
	wrapConn func(net.Conn) net.Conn
}

// EndpointConfig is one cluster at a hub.
type EndpointConfig struct {
	// ClusterID is the cluster's id; Self this node's.
	ClusterID string
	Self      cluster.NodeID
	// Key is this node's static X25519 key.
	Key *ecdh.PrivateKey
	// TLS may be nil: then there are heartbeats only.
	TLS TLS
	// Build is this release's version, for people at the other end.
	Build string
	// Paths are this node's own.
	Paths []Path
	// Silence is how long a path may be silent before it is down; see
	// [Endpoint.SetTiming]. Zero is the balanced detection time.
	Silence time.Duration
	Handler Handler

	// protocols are the lowest and the highest spoken; zero: this release's. Tests
	// are other releases.
	protocols [2]int
}

// TLS makes the configurations of connections. The caller of them sets the
// protocols and the server name.
type TLS interface {
	// PeerConfig is for both ends of a connection between nodes; both show a
	// certificate and verify the other's.
	PeerConfig() *tls.Config
	// JoinConfig is for a server whose client has no certificate yet.
	JoinConfig() *tls.Config
	// NodeOf says which node of this cluster is at the other end.
	NodeOf(tls.ConnectionState) (cluster.NodeID, error)
}

// Handler is told what arrives. Its methods are called from several goroutines,
// HandleHeartbeat from the one that reads the socket: it must copy what it
// keeps and return at once. None of them may call SetPeers, SetPaths or Close,
// which wait for them.
type Handler interface {
	// HandleHeartbeat gets a heartbeat that is authentic, not a repetition, and
	// made after this endpoint's session began. payload is valid during the
	// call only. at is when it was read from the socket: after a freeze of this
	// node that is later than when it arrived, see NewSession.
	HandleHeartbeat(from cluster.NodeID, network string, payload []byte, at cluster.Instant)
	// HandleMessage gets what the peer gave to Send, and owns it. While it
	// doesn't return, nothing more is read from that peer.
	HandleMessage(from cluster.NodeID, payload []byte)
	HandleEvent(Event)
}
