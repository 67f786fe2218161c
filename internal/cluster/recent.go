package cluster

import "slices"

// Outcome is what became of a recent command, as far as it says more than that
// it was carried out.
type Outcome struct {
	ID      uint64 `json:"id"`
	Node    NodeID `json:"node,omitempty"`
	Refusal Reason `json:"refusal,omitzero"`
}

// remember keeps the id of a command, and what whoever asked must learn of it. A
// command that is sent again after its first copy came here with a snapshot is
// answered from this: a refusal must not turn into a success, and a node that
// joins needs the id that it got.
func (s *State) remember(id uint64, r Result) {
	s.Recent = append(s.Recent, id)
	if r.Refused() || r.Node != 0 {
		s.Outcomes = append(s.Outcomes, Outcome{ID: id, Node: r.Node, Refusal: r.Refusal})
	}
	over := len(s.Recent) - recentMax
	if over <= 0 {
		return
	}
	for _, old := range s.Recent[:over] {
		// Both are in order, so what is forgotten is at the front.
		if len(s.Outcomes) > 0 && s.Outcomes[0].ID == old {
			s.Outcomes = slices.Delete(s.Outcomes, 0, 1)
		}
	}
	s.Recent = slices.Delete(s.Recent, 0, over)
}

// outcome is what became of a command that was applied before.
func (s *State) outcome(id uint64) Result {
	r := Result{Repeated: true}
	if i := slices.IndexFunc(s.Outcomes, func(o Outcome) bool { return o.ID == id }); i >= 0 {
		r.Node, r.Refusal = s.Outcomes[i].Node, s.Outcomes[i].Refusal
	}
	return r
}
