package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/perdure-ha/perdure/internal/cluster"
)

const (
	eventsPath = "/v1/events"
	// aliveEvery is how often an idle stream says that it lives, so that both
	// ends notice a dead one.
	aliveEvery = 10 * time.Second
	// changedEvery bounds how often news of a node's own view is sent; what is
	// in the replicated state is sent at once.
	changedEvery = 250 * time.Millisecond
)

// Changed says that something other than the timeline changed: look again.
type Changed struct {
	Applied uint64 `json:"applied"`
}

// Gap says that entries between the one asked for and the oldest known are
// lost: the timeline holds a bounded number.
type Gap struct {
	Oldest uint64 `json:"oldest"`
}

// Alive is sent when nothing else is.
type Alive struct {
	Applied uint64 `json:"applied"`
}

type eventsQuery struct {
	LastEventID uint64 `header:"Last-Event-ID" doc:"resume after this entry"`
	After       uint64 `query:"after" doc:"the same, for clients that can't set the header"`
	Now         bool   `query:"now" doc:"begin with the present: no entries of the past"`
}

func (s *Server) routesEvents() {
	sse.Register(s.huma, op(http.MethodGet, eventsPath, "events", "What happens, as it happens; the ids are those of the timeline", "timeline"),
		map[string]any{"entry": cluster.Entry{}, "changed": Changed{}, "gap": Gap{}, "alive": Alive{}},
		s.events)
}

// events sends what is new until the client is gone or the server closes.
func (s *Server) events(ctx context.Context, in *eventsQuery, send sse.Sender) {
	last := max(in.LastEventID, in.After)
	var applied uint64
	if st := s.backend.State(); in.Now && st != nil {
		last, applied = lastID(st), st.Applied
	}
	timer := time.NewTimer(aliveEvery)
	defer timer.Stop()
	var told time.Time
	pending := true
	who := caller(ctx)
	for s.stands(who) {
		changed := s.backend.Changed()
		if st := s.backend.State(); st != nil {
			sent, err := sendEntries(send, st, last)
			if err != nil {
				return
			}
			last = sent
			if st.Applied != applied || pending && time.Since(told) >= changedEvery {
				if send.Data(Changed{Applied: st.Applied}) != nil {
					return
				}
				applied, told, pending = st.Applied, time.Now(), false
			}
		}
		wait := aliveEvery
		if pending {
			wait = max(changedEvery-time.Since(told), time.Millisecond)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case <-changed:
			pending = true
		case <-timer.C:
			if !pending && send.Data(Alive{Applied: applied}) != nil {
				return
			}
		}
	}
}

// sendEntries sends the entries after last and returns the new last.
func sendEntries(send sse.Sender, st *cluster.State, last uint64) (uint64, error) {
	if len(st.Timeline) == 0 {
		return last, nil
	}
	if oldest := st.Timeline[0].ID; last > 0 && oldest > last+1 {
		if err := send.Data(Gap{Oldest: oldest}); err != nil {
			return last, err
		}
	}
	first, _ := slices.BinarySearchFunc(st.Timeline, last+1, func(e cluster.Entry, id uint64) int {
		switch {
		case e.ID < id:
			return -1
		case e.ID > id:
			return 1
		}
		return 0
	})
	for i := first; i < len(st.Timeline); i++ {
		if err := send(sse.Message{ID: int(st.Timeline[i].ID), Data: st.Timeline[i]}); err != nil {
			return last, err
		}
		last = st.Timeline[i].ID
	}
	return last, nil
}

func lastID(st *cluster.State) uint64 {
	if len(st.Timeline) == 0 {
		return 0
	}
	return st.Timeline[len(st.Timeline)-1].ID
}
