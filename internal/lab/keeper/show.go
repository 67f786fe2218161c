package keeper

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/demo"
	"github.com/perdure-ha/perdure/internal/message"
)

// Person is who gave a command.
type Person struct {
	Lang string
	JSON bool
	// Out takes the answer, Err what happens meanwhile; Terminal reports whether
	// Err is one.
	In       io.Reader
	Out, Err io.Writer
	Terminal bool
}

func (p Person) say(key string, args ...any) string {
	return fmt.Sprintf(words[key].In(p.Lang), args...)
}

func (p Person) print(key string, args ...any) { fmt.Fprintln(p.Out, p.say(key, args...)) }
func (p Person) note(key string, args ...any)  { fmt.Fprintln(p.Err, p.say(key, args...)) }

// redrawEvery is the time between two states of the line on a terminal, sayEvery
// that between two lines about the same step elsewhere.
const (
	redrawEvery = 500 * time.Millisecond
	sayEvery    = 10 * time.Second
)

// wayUp shows how far a lab is: on a terminal one line that changes, elsewhere a
// line for each step.
type wayUp struct {
	person Person
	began  time.Time

	mu    sync.Mutex
	now   Progress
	since time.Time
	said  time.Time

	stop  chan struct{}
	ended sync.WaitGroup
}

func showWay(p Person) *wayUp {
	w := &wayUp{person: p, began: time.Now(), since: time.Now(), stop: make(chan struct{})}
	if p.Terminal {
		w.ended.Go(w.redraw)
	}
	return w
}

// step takes what the keeper says.
func (w *wayUp) step(p Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	other := p.Phase != w.now.Phase
	if other && w.now.Phase != "" && w.person.Terminal && w.now.Phase != Begins {
		fmt.Fprintf(w.person.Err, "\r\x1b[K%6.1f s  %s\n", time.Since(w.since).Seconds(), w.person.say("phase "+string(w.now.Phase)))
	}
	if other {
		w.since = time.Now()
	}
	w.now = p
	if !w.person.Terminal && p.Phase != Begins && p.Phase != Failing && (other || time.Since(w.said) > sayEvery) {
		w.said = time.Now()
		fmt.Fprintf(w.person.Err, "%6.1f s  %s\n", time.Since(w.began).Seconds(), w.text())
	}
}

// text is the step in words.
func (w *wayUp) text() string {
	text := w.person.say("phase " + string(w.now.Phase))
	if w.now.Fraction >= 0 {
		text += fmt.Sprintf(" %.0f %%", 100*w.now.Fraction)
	}
	if w.now.Step != "" {
		text += ": " + w.now.Step
	}
	if w.now.Left >= 0 && w.now.Phase == Images {
		text += ", " + w.person.say("left", w.now.Left.Round(time.Second))
	}
	return text
}

func (w *wayUp) redraw() {
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
			w.mu.Lock()
			if w.now.Phase != "" && !w.now.over() {
				line := fmt.Sprintf("%6.1f s  %s", time.Since(w.since).Seconds(), w.text())
				fmt.Fprint(w.person.Err, "\r\x1b[K", fit(line, widest-1))
			}
			w.mu.Unlock()
		}
	}
}

func (w *wayUp) close() {
	close(w.stop)
	w.ended.Wait()
	if w.person.Terminal {
		fmt.Fprint(w.person.Err, "\r\x1b[K")
	}
}

// widest is how wide what we print is, in cells of a terminal.
const widest = 80

// fit cuts a line to a width.
func fit(line string, width int) string {
	for runes := []rune(line); message.Width(line) > width; line = string(runes) {
		runes = runes[:len(runes)-1]
	}
	return line
}

// pad fills a column.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(1, width-message.Width(text)))
}

// table is the nodes of a lab, 80 columns wide at most.
func (p Person) table(look Look) {
	row := func(cells ...string) {
		widths := []int{8, 6, 6, 14, 16}
		line := ""
		for i, c := range cells {
			if i < len(widths) {
				c = pad(c, widths[i])
			}
			line += c
		}
		fmt.Fprintln(p.Out, strings.TrimRight(line, " "))
	}
	row(p.say("node"), p.say("host"), p.say("kind"), p.say("state"), p.say("public"), p.say("heartbeat"))
	for _, n := range look.Nodes {
		state := p.say("state " + n.State)
		if n.Witness {
			state += " (" + p.say("witness") + ")"
		}
		host := n.Host
		if host == "" {
			host = "?"
		}
		addresses := map[string]string{}
		for _, a := range n.Addresses {
			addresses[a.Network] = a.Address
		}
		row(n.Name, host, n.Kind, state, addresses["public"], addresses["heartbeat"])
	}
	for _, st := range look.Storage {
		row(st.Network, st.URL)
	}
}

// next names what can be done with a lab that has just come up.
func (p Person) next() {
	p.print("next")
	for _, try := range []struct{ command, key string }{
		{"perdure lab ssh n1", "try-ssh"},
		{"perdure lab status", "try-status"},
		{"perdure lab run power-loss", "try-run"},
		{"perdure lab run --list", "try-list"},
		{"perdure lab down", "try-down"},
	} {
		fmt.Fprintf(p.Out, "  %s# %s\n", pad(try.command, 28), p.say(try.key))
	}
}

// status is how a lab is, for people.
func (p Person) status(look Look) {
	p.print("lab", look.Config.Nodes, look.Config.Kind, look.Since.Local().Format("2006-01-02 15:04:05"), look.PID, p.say("phase "+string(look.Phase)))
	if look.Busy != "" {
		p.print("busy", look.Busy)
	}
	if len(look.Nodes) > 0 {
		p.table(look)
	}
	s := look.Service
	if s == nil {
		return
	}
	switch {
	case s.Node == "":
		p.print("never", s.Address)
	case s.Silent > time.Second:
		p.print("silent", s.Address, s.Silent.Seconds(), s.Node)
	default:
		p.print("serves", s.Address, s.Node)
	}
	p.print("counters", s.Window.Round(time.Second), s.Sent, s.Lost, s.OutageCount, s.Longest.Seconds())
	for _, o := range s.Outages {
		if o.Open {
			p.print("outage-open", o.At.Local().Format("15:04:05"), o.Length.Seconds(), o.Before)
		} else {
			p.print("outage", o.At.Local().Format("15:04:05"), o.Length.Seconds(), o.Before, o.After)
		}
	}
	if s.Double > 0 {
		p.print("double", s.Double.Seconds())
	}
}

// list says what can be played.
func (p Person) list(o Offer) {
	p.print("scenarios")
	for _, s := range o.Scenarios {
		title := s.Title
		if s.Why != "" {
			title += " — " + p.say("cant", s.Why)
		}
		p.item(s.Name, title)
	}
	if len(o.Faults) == 0 {
		return
	}
	fmt.Fprintln(p.Out)
	p.print("faults")
	var can, cant []string
	for _, f := range o.Faults {
		if f.Why == "" {
			can = append(can, f.Name)
		} else {
			cant = append(cant, f.Name)
		}
	}
	fmt.Fprintln(p.Out, demo.Wrap(strings.Join(can, ", "), widest))
	if len(cant) > 0 {
		fmt.Fprintln(p.Out, demo.Wrap(p.say("cant-list", strings.Join(cant, ", ")), widest))
	}
}

// item is a name with a text that may take more than one line.
func (p Person) item(name, text string) {
	const column = 24
	for i, line := range strings.Split(demo.Wrap(text, widest-column), "\n") {
		if i > 0 {
			name = ""
		}
		fmt.Fprintln(p.Out, pad("  "+name, column)+line)
	}
}
