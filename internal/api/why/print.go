package why

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Style says how a story is printed.
type Style struct {
	Lang  string
	Width int // columns; 0: 80
	// Zone is the time zone of the times; nil: UTC.
	Zone *time.Location
	// Strong and Faint mark text for a terminal; nil: not at all. Nothing is
	// said by them alone.
	Strong, Faint func(string) string
}

// Columns of a line: two blanks, clock, blank, offset, two blanks, text.
const (
	clockColumns  = 12
	offsetColumns = 9
	textColumn    = 2 + clockColumns + 1 + offsetColumns + 2
)

// printer collects the text of a story.
type printer struct {
	strings.Builder
	Style
}

// Print writes the story for a terminal.
func (s *Story) Print(w io.Writer, st Style) error {
	if st.Width <= 0 {
		st.Width = message.DefaultWidth
	}
	if st.Zone == nil {
		st.Zone = time.UTC
	}
	plain := func(s string) string { return s }
	if st.Strong == nil {
		st.Strong = plain
	}
	if st.Faint == nil {
		st.Faint = plain
	}
	p := &printer{Style: st}
	p.head(s)
	zero := s.zero()
	for i := range s.Lines {
		p.line(&s.Lines[i], zero)
	}
	p.cost(s)
	p.now(s)
	_, err := io.WriteString(w, p.String())
	return err
}

// zero is the moment from which offsets count: the end of service, or the
// beginning.
func (s *Story) zero() int64 {
	if s.OutageMilli >= 0 && s.EndedMilli != 0 {
		return s.EndedMilli - s.OutageMilli
	}
	return s.BeganMilli
}

// fill puts names into a label.
func (p *printer) fill(l wording.Label, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(l.In(p.Lang))
}

func (p *printer) head(s *Story) {
	title := s.Hierarchy + ": " + p.fill(titles[s.What], "{from}", s.From, "{to}", s.To)
	switch {
	case s.OutageMilli >= 0:
		title += ", " + labelOutage.In(p.Lang) + " " + span(s.OutageMilli)
	case s.Over && s.What != Start && s.What != Stop && s.What != Reported:
		title += ", " + labelUnknown.In(p.Lang)
	}
	for _, l := range wording.Break(title, p.Width) {
		p.WriteString(p.Strong(l) + "\n")
	}
	if s.From != "" {
		p.WriteString(p.fill(labelBefore, "{node}", s.From, "{time}", p.clock(s.SinceMilli, "2006-01-02 15:04:05")) + "\n")
	}
	zone := time.UnixMilli(s.BeganMilli).In(p.Zone).Format("2006-01-02, MST")
	p.WriteString(p.Faint(p.fill(labelClockRow, "{zone}", zone)) + "\n\n")
}

func (p *printer) clock(ms int64, layout string) string {
	return time.UnixMilli(ms).In(p.Zone).Format(layout)
}

// line prints one entry: when, what, and what is behind it.
func (p *printer) line(l *Line, zero int64) {
	text, code := wording.Reason(p.Lang, l.Reason), ""
	if l.Reason.Code == "" {
		text = wording.Word(p.Lang, l.Kind) + " " + l.Node
	} else if l.Entry != 0 {
		code = l.Reason.Code + ", "
	}
	if l.Entry != 0 {
		text += " (" + code + "#" + strconv.FormatUint(l.Entry, 10) + ")"
	}
	stamp := "  " + p.clock(l.WallMilli, "15:04:05.000") + " " + fmt.Sprintf("%*s", offsetColumns, offset(l.WallMilli-zero)) + "  "
	for i, t := range wording.Break(text, p.Width-textColumn) {
		if i > 0 {
			stamp = strings.Repeat(" ", textColumn)
		}
		p.WriteString(stamp + p.Strong(t) + "\n")
	}
	if l.By != "" {
		p.detail(labelBy, l.By)
	}
	p.proofs(labelSeen, l.Seen, true)
	p.proofs(labelRuledOut, l.RuledOut, false)
	if len(l.Took) > 0 {
		var all []string
		for _, t := range l.Took {
			all = append(all, wording.Reason(p.Lang, t.Reason))
		}
		p.detail(labelTook, strings.Join(slices.Compact(all), "; "))
	}
	if l.Key {
		if cause := (message.Reason{Code: l.Reason.Code, Args: l.Reason.Args}).Localize(p.Lang).Cause; cause != "" {
			p.detail(labelRule, cause)
		}
	}
	if len(l.Causes) > 0 && l.Key {
		var ids []string
		for _, id := range l.Causes {
			ids = append(ids, "#"+strconv.FormatUint(id, 10))
		}
		p.detail(labelBecause, strings.Join(ids, " "))
	}
}

// proofs prints observations, one below the other, each once: several nodes may
// say the same.
func (p *printer) proofs(l wording.Label, all []Proof, who bool) {
	var said []string
	for _, pr := range all {
		text := wording.Reason(p.Lang, pr.Reason)
		if who && pr.Node != "" {
			text = pr.Node + ": " + text
		}
		if !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	for i, text := range said {
		if i > 0 {
			l = wording.Label{}
		}
		p.detail(l, text)
	}
}

// detail prints a labelled text below a line.
func (p *printer) detail(l wording.Label, text string) {
	const labelColumns = 11
	indent := strings.Repeat(" ", textColumn)
	for i, t := range wording.Break(text, p.Width-textColumn-labelColumns) {
		label := ""
		if i == 0 {
			label = l.In(p.Lang)
		}
		p.WriteString(indent + p.Faint(wording.Pad(label, labelColumns)) + t + "\n")
	}
}

// cost prints what each phase took, with its share.
func (p *printer) cost(s *Story) {
	var total, widest int64
	for _, ph := range s.Phases {
		total += max(ph.Milli, 0)
		widest = max(widest, ph.Milli)
	}
	if total == 0 {
		return
	}
	const nameColumns, barColumns = 50, 10
	p.WriteString("\n" + p.Strong(labelCost.In(p.Lang)) + "\n")
	for _, ph := range s.Phases {
		name := wording.Cut(p.fill(phases[ph.Name], "{node}", ph.Node), nameColumns)
		if ph.Milli < 0 {
			p.WriteString("  " + wording.Pad(name, nameColumns) + "  " + labelClocks.In(p.Lang) + "\n")
			continue
		}
		bar := strings.Repeat("#", int((ph.Milli*barColumns+total/2)/total))
		row := fmt.Sprintf("  %s %9s %3d%%  %s", wording.Pad(name, nameColumns), span(ph.Milli), (ph.Milli*100+total/2)/total, bar)
		p.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	p.WriteString("  " + wording.Pad(labelTotal.In(p.Lang), nameColumns) + fmt.Sprintf(" %9s", span(total)) + "\n")
}

// now prints how it is at the moment, and what to do if that isn't well.
func (p *printer) now(s *Story) {
	if s.Later {
		p.WriteString("\n" + p.Faint(labelLater.In(p.Lang)) + "\n")
		return
	}
	status := wording.Word(p.Lang, s.Present.Status)
	if s.Present.Node != "" {
		status = p.fill(labelOn, "{status}", status, "{node}", s.Present.Node)
	}
	if s.Present.SinceMilli != 0 {
		status += p.fill(labelSince, "{time}", p.clock(s.Present.SinceMilli, "2006-01-02 15:04:05"))
	}
	if s.Present.Want == cluster.WantInService && !s.Present.Status.Serving() {
		status += "; " + p.fill(labelWants, "{status}", wording.Word(p.Lang, s.Present.Want))
	}
	p.WriteString("\n")
	p.bottom(labelNow, status)
	if len(s.Present.Failures) > 0 {
		p.bottom(wording.Label{}, p.fill(labelMarks, "{node}", strings.Join(s.Present.Failures, ", ")))
	}
	next := ""
	if !s.Present.Status.Serving() && s.Present.Reason.Code != "" {
		m := message.Reason{Code: s.Present.Reason.Code, Args: s.Present.Reason.Args}.Localize(p.Lang)
		p.bottom(wording.Label{}, m.Text+" ("+m.Code+")")
		next = m.Next
	}
	if len(s.Present.Failures) > 0 {
		next = message.New(message.HierarchyMarked, s.Hierarchy, s.Present.Failures[0]).Localize(p.Lang).Next
	} else if strings.Contains(next, "perdure why "+s.Hierarchy) {
		next = "" // that is this page
	}
	if next != "" {
		p.bottom(labelNext, next)
	}
}

func (p *printer) bottom(l wording.Label, text string) {
	const columns = 6
	for i, t := range wording.Break(text, p.Width-columns) {
		label := ""
		if i == 0 {
			label = l.In(p.Lang)
		}
		p.WriteString(wording.Pad(label, columns) + t + "\n")
	}
}

func span(ms int64) string { return message.Duration(time.Duration(ms) * time.Millisecond) }

func offset(ms int64) string {
	switch {
	case ms == 0:
		return "0 s"
	case ms > 0:
		return "+" + span(ms)
	}
	return span(ms)
}
