package commpath

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// The versions of what is spoken behind the hello. A release speaks all of
// them, so that nodes can be upgraded one after the other.
const (
	protocolMin = 1
	protocolMax = 1
)

// hello is the first frame of both sides, as JSON: it must be understood by
// every release, and fields are added to it.
type hello struct {
	Min     int            `json:"min"`
	Max     int            `json:"max"`
	Build   string         `json:"build"`
	Cluster string         `json:"cluster"`
	Node    cluster.NodeID `json:"node,omitempty"` // 0: a joiner
}

func (h hello) encode() []byte {
	b, err := json.Marshal(h)
	if err != nil {
		panic(fmt.Sprintf("encode hello: %v", err)) // plain fields can't fail
	}
	return b
}

// decodeHello reads a hello. Unknown fields are those of a later release.
func decodeHello(b []byte) (hello, error) {
	var h hello
	if err := json.Unmarshal(b, &h); err != nil {
		return hello{}, fmt.Errorf("hello: %w", err)
	}
	if h.Min < 1 || h.Max < h.Min {
		return hello{}, fmt.Errorf("hello: protocols %d to %d", h.Min, h.Max)
	}
	h.Build = printable(h.Build)
	return h, nil
}

// printable is text from elsewhere that may go to a terminal.
func printable(s string) string {
	const most = 64
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), most)]
}

// agree returns the version that both speak, the highest.
func agree(ours, theirs hello) (int, error) {
	v := min(ours.Max, theirs.Max)
	if v < ours.Min || v < theirs.Min {
		return 0, &VersionError{
			Peer: theirs.Node, Min: theirs.Min, Max: theirs.Max, Build: theirs.Build,
			OurMin: ours.Min, OurMax: ours.Max, OurBuild: ours.Build,
		}
	}
	return v, nil
}

// VersionError says that two releases have no protocol in common.
type VersionError struct {
	Peer  cluster.NodeID
	Min   int // protocols that the peer speaks
	Max   int
	Build string

	OurMin   int
	OurMax   int
	OurBuild string
}

// Message is the error for people.
func (e *VersionError) Message() *message.Error {
	return message.New(message.ProtocolMismatch, e.Peer, e.Build, e.Min, e.Max, e.OurBuild, e.OurMin, e.OurMax)
}

func (e *VersionError) Error() string { return e.Message().Error() }

// Unwrap lets errors.As find the message.
func (e *VersionError) Unwrap() error { return e.Message() }
