package commpath

import (
	"errors"
	"fmt"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// conns are an endpoint's connections that aren't a link's: they are closed when
// the endpoint is, and when their peer is no peer any more.

// enter registers a connection, unless the endpoint is closed.
func (ep *Endpoint) enter(c *conn) bool {
	ep.connMu.Lock()
	defer ep.connMu.Unlock()
	if ep.conns == nil {
		return false
	}
	ep.conns[c] = 0
	ep.connsDone.Add(1)
	return true
}

func (ep *Endpoint) leave(c *conn) {
	ep.connMu.Lock()
	defer ep.connMu.Unlock()
	delete(ep.conns, c)
	ep.connsDone.Done()
}

// claim says whose a connection is, and reports whether that is a peer still.
func (ep *Endpoint) claim(c *conn, who cluster.NodeID) bool {
	ep.connMu.Lock()
	defer ep.connMu.Unlock()
	if ep.conns == nil || (*ep.peers.Load())[who] == nil {
		return false
	}
	ep.conns[c] = who
	return true
}

// dropStrangers closes the connections of nodes that are no peers any more.
func (ep *Endpoint) dropStrangers() {
	ep.connMu.Lock()
	defer ep.connMu.Unlock()
	for c, who := range ep.conns {
		if who != 0 && (*ep.peers.Load())[who] == nil {
			c.close()
		}
	}
}

// closeConns closes all connections and waits for who serves them.
func (ep *Endpoint) closeConns() {
	ep.connMu.Lock()
	conns := ep.conns
	ep.conns = nil
	for c := range conns {
		c.close()
	}
	ep.connMu.Unlock()
	ep.connsDone.Wait()
}

// Send queues a message of at most [MaxMessage] bytes for a peer and returns at
// once. It takes the payload over. Messages arrive in order or not at all, and
// none twice, except that those around a change of the connection may overtake
// one another. With too many waiting it returns [ErrQueueFull].
func (ep *Endpoint) Send(to cluster.NodeID, payload []byte) error {
	if len(payload) > MaxMessage {
		return fmt.Errorf("message of %d bytes to node %v: %w", len(payload), to, ErrTooLarge)
	}
	if ep.cfg.TLS == nil {
		return errors.New("send: this endpoint has no certificates")
	}
	l := (*ep.links.Load())[to]
	if l == nil {
		return fmt.Errorf("message to node %v: %w", to, ErrUnknownPeer)
	}
	if err := l.send(payload); err != nil {
		return fmt.Errorf("message to node %v: %w", to, err)
	}
	return nil
}

// Connections describes the connections by which messages go to the peers.
func (ep *Endpoint) Connections() []ConnStats {
	var all []ConnStats
	for _, l := range *ep.links.Load() {
		all = append(all, l.read())
	}
	sortByPeer(all)
	return all
}
