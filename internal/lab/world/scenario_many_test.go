package world

import (
	"testing"
	"time"
)

// Sixty-four nodes form one cluster with seven votes, and lose the node that
// serves: how long that takes has nothing to do with their number.
func TestScenarioSixtyFourNodes(t *testing.T) {
	if underRace {
		t.Skip("skipped under the race detector, which takes ten times as long")
	}
	took := func(nodes int) time.Duration {
		s := newStage(t, Config{Seed: 31, Nodes: nodes})
		s.until("all votes are given", 60*scenarioD, func() bool {
			v := len(s.newest().Voters)
			return v == min(nodes, 7) && v+len(s.newest().Learners) == nodes
		})
		s.run(scenarioD)
		var owner *node
		for _, n := range s.nodes {
			if n.serves(0) {
				owner = n
			}
		}
		for _, n := range s.nodes {
			if n != owner && s.newest().IsVoter(n.id) {
				s.lead(n)
				break
			}
		}
		owner.powerOff()
		d := s.until("another node serves", 3*scenarioD, func() bool {
			for _, n := range s.nodes {
				if n != owner && n.serves(0) {
					return true
				}
			}
			return false
		})
		s.run(scenarioD)
		return d
	}
	few, many := took(3), took(64)
	t.Logf("takeover after %v with 3 nodes, after %v with 64", few, many)
	if many > few+scenarioD/10 {
		t.Errorf("takeover after %v with 3 nodes, after %v with 64", few, many)
	}
}
