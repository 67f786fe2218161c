package keeper

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// The paths of the keeper's socket.
const (
	pathProgress = "/v1/progress"
	pathLook     = "/v1/status"
	pathOffer    = "/v1/offer"
	pathRun      = "/v1/run"
	pathAttach   = "/v1/attach"
	pathDown     = "/v1/down"
)

// mostBody bounds a request, in bytes.
const mostBody = 256 << 10

// server answers commands about one lab.
type server struct {
	who record
	// down is called when somebody asks for the end.
	down func()

	mu       sync.Mutex
	lab      Lab
	progress []Progress
	changed  chan struct{} // closed and replaced at each new progress
	busy     string
	// attached counts shells.
	attached sync.WaitGroup
}

func newServer(who record, down func()) *server {
	s := &server{who: who, down: down, changed: make(chan struct{})}
	s.say(Progress{Phase: Begins, Fraction: -1, Left: -1})
	return s
}

// say adds to what is known of the way to the lab. What only says how far the same
// step is replaces what was said before.
func (s *server) say(p Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.progress) - 1; last >= 0 && s.progress[last].Phase == p.Phase {
		s.progress[last] = p
	} else {
		s.progress = append(s.progress, p)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// opened says that the lab is there.
func (s *server) opened(lab Lab) {
	s.mu.Lock()
	s.lab = lab
	s.mu.Unlock()
	s.say(Progress{Phase: Serves, Fraction: -1, Left: -1})
}

// closing takes the lab away from those who ask.
func (s *server) closing() {
	s.mu.Lock()
	s.lab = nil
	s.mu.Unlock()
	s.say(Progress{Phase: Closes, Fraction: -1, Left: -1})
}

// current is the lab, if it can be asked.
func (s *server) current() (Lab, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lab == nil {
		return nil, message.New(message.LabNotReady, string(s.progress[len(s.progress)-1].Phase))
	}
	return s.lab, nil
}

// handler is what the socket answers.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathProgress, s.getProgress)
	mux.HandleFunc("GET "+pathLook, s.getLook)
	mux.HandleFunc("GET "+pathOffer, s.getOffer)
	mux.HandleFunc("POST "+pathRun, s.postRun)
	mux.HandleFunc("POST "+pathAttach, s.postAttach)
	mux.HandleFunc("POST "+pathDown, s.postDown)
	return mux
}

// refuse answers with a failure.
func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusConflict)
	_ = json.NewEncoder(w).Encode(failureOf(err))
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// getProgress streams how far the lab is, until it serves or is no more.
func (s *server) getProgress(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, func(p Progress) bool { return p.over() })
}

// postDown ends the lab and streams how that goes.
func (s *server) postDown(w http.ResponseWriter, r *http.Request) {
	s.down()
	s.stream(w, r, func(p Progress) bool { return p.Phase == Closed || p.Phase == Failing })
}

func (s *server) stream(w http.ResponseWriter, r *http.Request, last func(Progress) bool) {
	lines := newLines(w)
	sent := 0
	for {
		s.mu.Lock()
		news, changed := s.progress[sent:], s.changed
		now := append([]Progress(nil), news...)
		s.mu.Unlock()
		for i, p := range now {
			if lines.send(p) != nil || last(p) {
				return
			}
			if i < len(now)-1 {
				sent++ // the last one may still change
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *server) getLook(w http.ResponseWriter, _ *http.Request) {
	look := Look{Config: s.who.Config}
	if lab, err := s.current(); err == nil {
		look = lab.Look()
	}
	s.mu.Lock()
	look.Phase, look.Busy = s.progress[len(s.progress)-1].Phase, s.busy
	s.mu.Unlock()
	look.Since, look.PID = s.who.Since, s.who.PID
	answer(w, look)
}

func (s *server) getOffer(w http.ResponseWriter, r *http.Request) {
	lab, err := s.current()
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, lab.Offer(r.URL.Query().Get("lang")))
}

// line is a part of what a run says.
type line struct {
	Out     string   `json:"out,omitempty"`
	Live    string   `json:"live,omitempty"`
	Done    bool     `json:"done,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
}

// postRun plays scenarios or a fault. It ends when whoever asked leaves.
func (s *server) postRun(w http.ResponseWriter, r *http.Request) {
	var p Play
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBody)).Decode(&p); err != nil {
		refuse(w, err)
		return
	}
	lab, err := s.current()
	if err != nil {
		refuse(w, err)
		return
	}
	act, err := lab.Prepare(p)
	if err != nil {
		refuse(w, err)
		return
	}
	what := strings.Join(p.Words, " ")
	if what == "" {
		what = "lab run"
	}
	release, err := s.alone(what)
	if err != nil {
		refuse(w, err)
		return
	}
	defer release()
	lines := newLines(w)
	err = act(r.Context(), textOf(lines, func(t string) line { return line{Out: t} }), textOf(lines, func(t string) line { return line{Live: t} }))
	_ = lines.send(line{Done: true, Failure: failureOf(err)}) // who left hears nothing
}

// alone lets one at a time change the lab.
func (s *server) alone(what string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy != "" {
		return nil, message.New(message.LabBusy, s.busy)
	}
	s.busy = what
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy = ""
	}, nil
}

// lines streams JSON, a value a line.
type lines struct {
	mu  sync.Mutex
	enc *json.Encoder
	out *http.ResponseController
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	l := &lines{enc: json.NewEncoder(w), out: http.NewResponseController(w)}
	_ = l.out.Flush() // so that the asker knows at once that it was heard
	return l
}

func (l *lines) send(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.enc.Encode(v); err != nil {
		return err
	}
	return l.out.Flush()
}

// texts is a writer whose text goes into lines.
type texts struct {
	*lines
	wrap func(string) line
}

func textOf(l *lines, wrap func(string) line) io.Writer { return texts{l, wrap} }

func (t texts) Write(p []byte) (int, error) {
	_ = t.send(t.wrap(string(p))) // a run isn't for whoever listens alone
	return len(p), nil
}

// attachment is what a shell's connection begins with.
type attachment struct {
	Node     string   `json:"node"`
	Argv     []string `json:"argv"`
	Terminal *Size    `json:"terminal,omitempty"`
}

// postAttach turns the connection into one of frames.
func (s *server) postAttach(w http.ResponseWriter, r *http.Request) {
	var a attachment
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBody)).Decode(&a); err != nil {
		refuse(w, err)
		return
	}
	lab, err := s.current()
	if err != nil {
		refuse(w, err)
		return
	}
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(w, err)
		return
	}
	s.attached.Add(1)
	defer s.attached.Done()
	defer conn.Close()
	_ = conn.SetDeadline(time.Time{})
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+upgrade+"\r\n\r\n"); err != nil {
		return
	}
	attend(lab, a, conn, both.Reader)
}

// upgrade names the protocol of a shell's connection.
const upgrade = "perdure-lab-shell"

// attend runs a program for the person at a connection, until either ends.
func attend(lab Lab, a attachment, conn net.Conn, r *bufio.Reader) {
	out := &frames{w: conn}
	in := newInbox(func(n int) { _ = out.send(frameTaken, binary.BigEndian.AppendUint32(nil, uint32(n))) })
	sizes := make(chan Size, 1)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		cancel(hear(r, in, sizes))
		in.end()
	}()
	code, err := lab.Attach(ctx, a.Node, Session{Argv: a.Argv, In: in, Out: out.to(frameOut), Err: out.to(frameErr),
		Terminal: a.Terminal, Sizes: sizes})
	_ = out.sendJSON(frameExit, exit{code, failureOf(err)})
	conn.Close()
	<-heard
}

var errLeft = errors.New("whoever was at the program left")

// hear takes frames from the person until there are none.
func hear(r io.Reader, in *inbox, sizes chan Size) error {
	for {
		kind, data, err := readFrame(r)
		if err != nil {
			return errLeft
		}
		switch kind {
		case frameInput:
			if !in.put(data) {
				return errFrame
			}
		case frameEnd:
			in.end()
		case frameSize:
			var size Size
			if json.Unmarshal(data, &size) != nil {
				return errFrame
			}
			select {
			case <-sizes: // only the latest counts
			default:
			}
			sizes <- size
		default:
			return errFrame
		}
	}
}
