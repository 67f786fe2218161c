package why

import (
	"cmp"
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Options choose episodes.
type Options struct {
	// Entry chooses the episode to which this entry of the timeline belongs.
	Entry uint64
	// All chooses every episode that the timeline still holds.
	All bool
}

// Tell tells the last episode of a hierarchy, or those that the options choose,
// oldest first. Its error is a message of the catalogue.
func Tell(s *cluster.State, name string, o Options) ([]Story, error) {
	h := s.Hierarchy(name)
	if h == nil {
		return nil, message.New(message.RefusedNotFound, name)
	}
	all := slices.DeleteFunc(episodes(s, name), func(e episode) bool {
		return !slices.ContainsFunc(e.own, func(x *cluster.Entry) bool { return !settled(x) })
	})
	if len(all) == 0 {
		return nil, message.New(message.NothingToTell, name)
	}
	var stories []Story
	for i, e := range all {
		t := teller{state: s, h: h, episode: e}
		story := t.tell()
		story.Later = i < len(all)-1
		switch {
		case o.Entry != 0 && !slices.ContainsFunc(story.Lines, func(l Line) bool { return l.Entry == o.Entry }):
			continue
		case o.Entry == 0 && !o.All && story.Later:
			continue
		}
		stories = append(stories, story)
	}
	if len(stories) == 0 {
		return nil, message.New(message.EntryNotFound, o.Entry, name)
	}
	return stories, nil
}

// episode is what happened to a hierarchy between two moments of service.
type episode struct {
	before *cluster.Entry // the entry that says it was in service; nil: it wasn't, or that is forgotten
	own    []*cluster.Entry
	over   bool
}

// episodes cuts the hierarchy's own entries.
func episodes(s *cluster.State, name string) []episode {
	var out []episode
	cur := episode{}
	for i := range s.Timeline {
		e := &s.Timeline[i]
		if e.Hierarchy != name {
			continue
		}
		cur.own = append(cur.own, e)
		switch {
		case serving(e):
			cur.over = true
			out = append(out, cur)
			cur = episode{before: e}
		case e.Reason.Code == message.HierarchyStopped && cur.has(message.StoppingByRequest):
			cur.over = true
			out = append(out, cur)
			cur = episode{}
		}
	}
	if len(cur.own) > 0 {
		out = append(out, cur)
	}
	return out
}

func (e *episode) has(code string) bool {
	return slices.ContainsFunc(e.own, func(x *cluster.Entry) bool { return x.Reason.Code == code })
}

// teller makes the story of one episode.
type teller struct {
	state   *cluster.State
	h       *cluster.Hierarchy
	episode episode
	story   Story
}

func (t *teller) tell() Story {
	t.story = Story{Hierarchy: t.h.Name, Over: t.episode.over, OutageMilli: -1, Present: t.present()}
	if b := t.episode.before; b != nil {
		t.story.From, t.story.SinceMilli = t.state.NodeName(b.Node), b.WallMilli
	}
	for _, e := range t.entries() {
		if e.Kind == cluster.KindEvicted && t.episode.before != nil && e.Node == t.owner(e.ID) {
			t.lastSign(e)
		}
		t.story.Lines = append(t.story.Lines, t.line(e))
	}
	t.measure()
	t.name()
	return t.story
}

// entries are the episode's own and, of those that concern nodes, the causes
// and whatever befell the node that had the hierarchy.
func (t *teller) entries() []*cluster.Entry {
	own := t.episode.own
	for len(own) > 1 && settled(own[0]) {
		own = own[1:]
	}
	all := slices.Clone(own)
	var after uint64
	if t.episode.before != nil {
		after = t.episode.before.ID
	}
	causes := t.causes(own)
	last := own[len(own)-1].ID
	if !t.episode.over {
		last = t.state.Applied
	}
	for i := range t.state.Timeline {
		e := &t.state.Timeline[i]
		if e.Hierarchy != "" || e.ID > last || e.ID <= after {
			continue
		}
		if slices.Contains(causes, e.ID) || e.Node != 0 && e.Node == t.owner(e.ID) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *cluster.Entry) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// causes are the ids that led to the entries, directly or not.
func (t *teller) causes(from []*cluster.Entry) []uint64 {
	var seen []uint64
	queue := slices.Clone(from)
	for len(queue) > 0 {
		e := queue[0]
		queue = queue[1:]
		for _, id := range e.Causes {
			if slices.Contains(seen, id) || id >= e.ID {
				continue
			}
			seen = append(seen, id)
			if c := t.find(id); c != nil && c.Hierarchy == "" {
				queue = append(queue, c)
			}
		}
	}
	return seen
}

func (t *teller) find(id uint64) *cluster.Entry {
	i, ok := slices.BinarySearchFunc(t.state.Timeline, id, func(e cluster.Entry, id uint64) int { return cmp.Compare(e.ID, id) })
	if !ok {
		return nil
	}
	return &t.state.Timeline[i]
}

// owner is the node that had the hierarchy just before an entry, as far as the
// episode tells.
func (t *teller) owner(id uint64) cluster.NodeID {
	var owner cluster.NodeID
	if b := t.episode.before; b != nil {
		owner = b.Node
	}
	for _, e := range t.episode.own {
		switch {
		case e.ID >= id:
			return owner
		case e.Kind == cluster.KindAssigned:
			owner = e.Node
		case e.Reason.Code == message.HierarchyStopped:
			owner = 0
		}
	}
	return owner
}

// lastSign is the moment before an eviction when a voter last acknowledged the
// node: service ended then or a little later.
func (t *teller) lastSign(e *cluster.Entry) {
	silent := int64(-1)
	for _, ev := range e.Evidence {
		if ms := ev.Ago.Milliseconds(); ms > 0 && (silent < 0 || ms < silent) {
			silent = ms
		}
	}
	if silent < 0 {
		return
	}
	name := t.state.NodeName(e.Node)
	sign := Line{WallMilli: e.WallMilli - silent, Kind: cluster.KindSilence, Node: name, Reason: cluster.Because(message.LastSign, name)}
	t.story.Lines = append(t.story.Lines, sign)
	d := t.state.Detection
	if silent < d.Milliseconds() || slices.ContainsFunc(t.state.Timeline, func(o cluster.Entry) bool {
		return o.Kind == cluster.KindDetection && o.ID > e.ID
	}) {
		return // another detection time held then
	}
	t.story.Lines = append(t.story.Lines, Line{
		WallMilli: sign.WallMilli + d.Milliseconds(), Kind: cluster.KindLease, Node: name,
		Reason: cluster.Because(message.LeaseOver, name, message.Duration(d)),
	})
}

func (t *teller) line(e *cluster.Entry) Line {
	l := Line{
		Entry: e.ID, WallMilli: e.WallMilli, Kind: e.Kind, Resource: e.Resource,
		Reason: e.Reason, By: e.By, Causes: e.Causes, Key: key(e),
	}
	if t.state.NodeByName(e.By) != nil {
		l.By = "" // the nodes' own work; people are named
	}
	if e.Node != 0 {
		l.Node = t.state.NodeName(e.Node)
	}
	if t.repeated(e) {
		// The same failure is reported when it is found and when what was left
		// is stopped.
		l.Reason, l.Key = cluster.Because(message.AllStopped, t.h.Name, l.Node), false
	}
	for _, ev := range e.Evidence {
		p := Proof{Node: t.state.NodeName(ev.Node), Reason: ev.Reason, AgoMilli: ev.Ago.Milliseconds()}
		switch {
		case slices.Contains(ruledOutCodes, ev.Reason.Code):
			l.RuledOut = append(l.RuledOut, p)
		case slices.Contains(tookCodes, ev.Reason.Code):
			l.Took = append(l.Took, p)
		default:
			l.Seen = append(l.Seen, p)
		}
	}
	return l
}

// repeated reports whether an entry says the same failure a second time.
func (t *teller) repeated(e *cluster.Entry) bool {
	if e.Kind != cluster.KindStatus || !is(e, failedCodes) {
		return false
	}
	said := false
	for _, o := range t.episode.own {
		switch {
		case o.ID >= e.ID:
			return said
		case o.Kind == cluster.KindAssigned:
			said = false
		case o.Reason.Code == e.Reason.Code && o.Node == e.Node:
			said = true
		}
	}
	return said
}

func (t *teller) present() Present {
	p := Present{Status: t.h.Status, Reason: t.h.Reason, Want: t.h.Want}
	if t.h.Owner != 0 {
		p.Node = t.state.NodeName(t.h.Owner)
	}
	if e := t.find(t.h.Since); e != nil {
		p.SinceMilli = e.WallMilli
	}
	for _, f := range t.h.Failures {
		p.Failures = append(p.Failures, t.state.NodeName(f.Node))
	}
	return p
}
