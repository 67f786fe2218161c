package why

import (
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// measure finds the milestones of the episode and what lies between them.
func (t *teller) measure() {
	m := meter{story: &t.story, running: t.episode.before == nil}
	for i := range t.story.Lines {
		m.pass(&t.story.Lines[i])
	}
	if len(t.story.Lines) == 0 {
		return
	}
	first, last := &t.story.Lines[0], &t.story.Lines[len(t.story.Lines)-1]
	t.story.BeganMilli = first.WallMilli
	if t.episode.over {
		t.story.EndedMilli = last.WallMilli
	}
	if m.exact && t.episode.over && slices.Contains(servingCodes, last.Reason.Code) && last.WallMilli >= m.outage {
		t.story.OutageMilli = last.WallMilli - m.outage
	}
}

// meter walks along the lines. Phases are counted from the moment when service
// ended, or from the request if there was none.
type meter struct {
	story   *Story
	running bool  // service has ended, or never was
	begun   bool  // a first milestone was passed
	at      int64 // the last milestone
	outage  int64
	// exact reports whether outage is when service ended.
	exact bool
}

func (m *meter) pass(l *Line) {
	code := l.Reason.Code
	switch {
	case l.Kind == cluster.KindSilence && l.Entry == 0:
		m.end(l, true)
	case l.Kind == cluster.KindEvicted:
		m.end(l, false)
		m.phase(PhaseSilence, l)
	case l.Kind == cluster.KindAdmitted:
		m.end(l, false)
		m.phase(PhaseReboot, l)
	case l.Kind == cluster.KindFenced:
		m.phase(PhaseFence, l)
	case l.Kind == cluster.KindRetry:
		m.phase(PhaseBackoff, l)
	case l.Kind == cluster.KindAssigned:
		m.phase(PhaseDecision, l)
	case l.Kind == cluster.KindWant, l.Kind == cluster.KindMove:
		m.phase(PhaseDecision, l)
	case l.Kind != cluster.KindStatus:
	case code == message.LocalRecovery:
		m.end(l, true)
	case code == message.AllStopped:
		m.phase(PhaseGiveUp, l)
	case slices.Contains(failedCodes, code):
		if m.running && m.begun {
			m.phase(PhaseTry, l)
		}
		m.end(l, true)
	case slices.Contains(stoppingCodes, code):
		m.end(l, true)
	case code == message.HierarchyStopped:
		m.phase(PhaseStop, l)
	case slices.Contains(servingCodes, code):
		if code == message.ResourceRecovered {
			m.phase(PhaseRecover, l)
		} else {
			m.phase(PhaseStart, l)
		}
	}
}

// end marks the end of service.
func (m *meter) end(l *Line, exact bool) {
	if !m.running || !m.begun {
		m.at, m.outage, m.exact = l.WallMilli, l.WallMilli, exact && !m.running
	}
	m.running, m.begun = true, true
}

// phase notes what lies between the last milestone and this one.
func (m *meter) phase(name string, l *Line) {
	if !m.running {
		return
	}
	if m.begun && l.WallMilli != m.at {
		node := l.Node
		if name == PhaseDecision {
			node = ""
		}
		m.story.Phases = append(m.story.Phases, Phase{Name: name, Node: node, Milli: l.WallMilli - m.at})
	}
	m.at, m.begun = l.WallMilli, true
}

// name says what the episode was.
func (t *teller) name() {
	s := &t.story
	last := &s.Lines[len(s.Lines)-1]
	served := t.episode.over && slices.Contains(servingCodes, last.Reason.Code)
	if served {
		s.To = last.Node
	}
	has := func(code string) bool {
		return slices.ContainsFunc(s.Lines, func(l Line) bool { return l.Reason.Code == code })
	}
	moved := slices.ContainsFunc(s.Lines, func(l Line) bool { return l.Kind == cluster.KindAssigned })
	switch {
	case !t.episode.over:
		s.What = NotOver
	case !served:
		s.What, s.To = Stop, ""
	case s.From == "":
		s.What = Start
	case s.From == s.To && !moved && last.Reason.Code == message.ResourceRecovered:
		s.What = LocalRecovery
	case s.From == s.To && !moved:
		s.What = Reported
	case s.From == s.To:
		s.What = Restart
	case has(message.StoppingForSwitchover) || has(message.AssignedBySwitchover):
		s.What = Switchover
	case has(message.StoppingForDrain):
		s.What = Handover
	default:
		s.What = Failover
	}
}
