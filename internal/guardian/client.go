package guardian

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
)

// Client is the daemon's side. Its methods may be called concurrently.
type Client struct {
	link   link
	events chan guard.Notice

	sending sync.Mutex

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan packet
	err     error // why the connection ended
	done    chan struct{}
}

// answerTimeout bounds a request. The guardian answers in a millisecond; it
// waits for nothing but the kernel.
const answerTimeout = 5 * time.Second

// noticesMax bounds the notices that nobody has read. When it is full the oldest
// is dropped: the newer ones and the state say more.
const noticesMax = 64

func newClient(l link) *Client {
	c := &Client{link: l, events: make(chan guard.Notice, noticesMax), waiting: make(map[uint64]chan packet), done: make(chan struct{})}
	go c.read()
	return c
}

func (c *Client) read() {
	defer close(c.done)
	defer close(c.events)
	for {
		b, err := c.link.Receive()
		if err != nil {
			c.fail(err)
			return
		}
		p, err := decode(b)
		if err != nil {
			c.fail(err)
			return
		}
		switch p.kind {
		case kindReply:
			c.mu.Lock()
			ch := c.waiting[p.ID]
			delete(c.waiting, p.ID)
			c.mu.Unlock()
			if ch != nil {
				ch <- p
			}
		case kindNotice:
			c.notice(*p.Notice)
		}
	}
}

func (c *Client) notice(n guard.Notice) {
	for {
		select {
		case c.events <- n:
			return
		default:
		}
		select {
		case <-c.events:
		default:
		}
	}
}

// fail ends all requests that wait.
func (c *Client) fail(err error) {
	_ = c.link.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	for id, ch := range c.waiting {
		delete(c.waiting, id)
		close(ch)
	}
}

// Events is what the guardian did by itself. It is closed when the guardian is
// gone: the daemon must then end, because nothing holds its deadlines any more.
func (c *Client) Events() <-chan guard.Notice { return c.events }

// Close ends the connection and returns when nothing of it runs any more.
func (c *Client) Close() error {
	err := c.link.Close()
	<-c.done
	return err
}

// Hello asks for the state: whether this boot was admitted, what is guarded, and
// until when the lease lives.
func (c *Client) Hello() (State, error) {
	return c.call(packet{kind: kindHello})
}

// Admitted tells the generation that the cluster admitted for the session.
func (c *Client) Admitted(g cluster.Generation) error {
	_, err := c.call(packet{kind: kindAdmitted, Generation: g})
	return err
}

// Renew moves the lease's deadlines, which are by BOOTTIME. It doesn't wait for
// an answer; a refusal comes as a notice.
func (c *Client) Renew(r guard.Renew) error {
	return c.send(packet{kind: kindRenew, Generation: r.Generation, Until: r.Until, Gate: r.Gate, StopAfter: r.StopAfter})
}

// Guard puts a hierarchy under the lease before anything of it starts. When it
// returns nil the addresses are behind the gate, open if the lease lives, and
// the groups exist. Calling it again with the same is no error.
func (c *Client) Guard(hierarchy string, e cluster.Epoch, addrs []guard.Address, cgroups []string) error {
	_, err := c.call(packet{kind: kindGuard, Hierarchy: hierarchy, Epoch: e, Addresses: addrs, Cgroups: cgroups})
	return err
}

// Unguard says that a hierarchy is out of service: its processes have ended and
// its addresses are off their devices.
func (c *Client) Unguard(hierarchy string) error {
	_, err := c.call(packet{kind: kindUnguard, Hierarchy: hierarchy})
	return err
}

// Revoke kills a hierarchy now; an empty name is the eviction of the node.
// [guard.NoticeKilled] says when nothing is left.
func (c *Client) Revoke(hierarchy string) error {
	_, err := c.call(packet{kind: kindRevoke, Hierarchy: hierarchy})
	return err
}

// Unmanaged says that the cluster committed that the services of this node run
// on without daemon and deadline, or no longer do.
func (c *Client) Unmanaged(on bool) error {
	_, err := c.call(packet{kind: kindUnmanaged, On: on})
	return err
}

// Volumes says whether this node has replicated volumes: the guardian then keeps a
// volume-server running and tells it until when it may serve. A daemon says it
// again after each start.
func (c *Client) Volumes(on bool) error {
	_, err := c.call(packet{kind: kindVolumes, On: on})
	return err
}

// OnLoss says what this machine does to itself when its lease ends while it has
// services.
func (c *Client) OnLoss(how cluster.QuorumLoss) error {
	_, err := c.call(packet{kind: kindOnLoss, OnLoss: how})
	return err
}

// Doubt says that this machine may have stood still with its clock. Services
// stand until a renewal moves the deadlines.
func (c *Client) Doubt(why cluster.Reason) error {
	_, err := c.call(packet{kind: kindDoubt, Reason: why})
	return err
}

// Reset kills everything on this node and begins a new session, as a boot does.
// It returns when nothing is left; until then, or on an error, whether something
// is left is unknown.
func (c *Client) Reset(ctx context.Context) (session string, err error) {
	p, err := c.ask(ctx, packet{kind: kindReset})
	if err != nil {
		return "", err
	}
	return p.State.Session, nil
}

// call asks and waits for the answer.
func (c *Client) call(p packet) (State, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	answer, err := c.ask(ctx, p)
	if err != nil {
		return State{}, err
	}
	return *answer.State, nil
}

func (c *Client) ask(ctx context.Context, p packet) (packet, error) {
	ch := make(chan packet, 1)
	c.mu.Lock()
	c.last++
	p.ID = c.last
	err := c.err
	c.waiting[p.ID] = ch
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, p.ID)
		c.mu.Unlock()
	}()
	if err != nil {
		return packet{}, c.gone()
	}
	if err := c.send(p); err != nil {
		return packet{}, err
	}
	select {
	case answer, ok := <-ch:
		switch {
		case !ok:
			return packet{}, c.gone()
		case answer.Reason.Code != "":
			return packet{}, message.Reason(answer.Reason).Err()
		case answer.State == nil:
			return packet{}, message.New(message.GuardianGone, "an answer without the state")
		}
		return answer, nil
	case <-ctx.Done():
		return packet{}, message.New(message.GuardianGone, fmt.Sprintf("no answer: %v", ctx.Err()))
	}
}

func (c *Client) send(p packet) error {
	b, err := p.encode()
	if err != nil {
		return err
	}
	c.sending.Lock()
	err = c.link.Send(b)
	c.sending.Unlock()
	if err != nil {
		c.fail(err)
		return c.gone()
	}
	return nil
}

func (c *Client) gone() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.err
	if err == nil {
		err = errors.New("the connection has ended")
	}
	return message.New(message.GuardianGone, err).Wrap(err)
}
