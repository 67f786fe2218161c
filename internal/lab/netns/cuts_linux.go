package netns

import (
	"fmt"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/perdure-ha/perdure/internal/lab/space"
)

// cuts loses frames in the bridges: a set of (port in, port out) whose frames
// are dropped, so that one direction can be lost alone.
type cuts struct {
	mu   sync.Mutex
	conn *nftables.Conn
	set  *nftables.Set
}

// ifnameSize is the kernel's IFNAMSIZ: how long a name is in a set.
const ifnameSize = 16

func newCuts(s *space.Space) (*cuts, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(int(s.Net().Fd())), nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("open nftables in namespace: %w", err)
	}
	c := &cuts{conn: conn}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyBridge, Name: "cuts"})
	chain := conn.AddChain(&nftables.Chain{Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
	c.set = &nftables.Set{Table: table, Name: "lost", Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIFName)}
	if err := conn.AddSet(c.set, nil); err != nil {
		return nil, fmt.Errorf("make the set of cuts: %w", err)
	}
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		// A name fills one of the four 16-byte registers; two in a row are the
		// concatenated key.
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 2},
		&expr.Lookup{SourceRegister: 1, SetName: c.set.Name, SetID: c.set.ID},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("make the table of cuts: %w", err)
	}
	return c, nil
}

func (c *cuts) close() { _ = c.conn.CloseLasting() }

// direction is from one port to another.
type direction struct{ from, to string }

// lose adds directions, all at the same moment. One that is lost already
// stays so.
func (c *cuts) lose(directions []direction) error {
	if len(directions) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	elements := make([]nftables.SetElement, 0, len(directions))
	for _, d := range directions {
		key := make([]byte, 2*ifnameSize)
		copy(key, d.from)
		copy(key[ifnameSize:], d.to)
		elements = append(elements, nftables.SetElement{Key: key})
	}
	if err := c.conn.SetAddElements(c.set, elements); err != nil {
		return fmt.Errorf("cut: %w", err)
	}
	if err := c.conn.Flush(); err != nil {
		return fmt.Errorf("cut: %w", err)
	}
	return nil
}

// heal ends all cuts.
func (c *cuts) heal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.FlushSet(c.set)
	if err := c.conn.Flush(); err != nil {
		return fmt.Errorf("heal: %w", err)
	}
	return nil
}
