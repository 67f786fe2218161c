package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// bodyMax bounds a request (bytes). The largest are settings, which have
	// 4 KiB each at most.
	bodyMax = 256 << 10
	// headerMax bounds the head of a request (bytes).
	headerMax = 16 << 10
	// readTimeout is for a request to arrive, and for what is only looked up.
	readTimeout = 10 * time.Second
	// commandTimeout is for what the cluster must agree on: a little longer
	// than the daemon tries to have a command committed.
	commandTimeout = 15 * time.Second
	// writeTimeout is for an answer to be taken.
	writeTimeout = 10 * time.Second
)

// Server serves a Backend.
type Server struct {
	backend Backend
	kits    Kits
	log     *slog.Logger
	now     func() time.Time
	http    *http.Server
	huma    huma.API
	// done ends the event streams: http.Server.Shutdown waits for them.
	done chan struct{}
	// remote serves others than this machine; see [Server.ServeTLS].
	remote    *http.Server
	access    Access
	passwords passwords
	failures  failures
	// stops are clean stops under way, which outlive their requests.
	stops sync.WaitGroup
}

// NewServer makes a server; [Server.Serve] starts it. log may be nil.
func NewServer(b Backend, k Kits, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{backend: b, kits: k, log: log, now: time.Now, done: make(chan struct{}), passwords: newPasswords()}
	s.failures.now = func() time.Time { return s.now() }
	mux := http.NewServeMux()
	cfg := huma.DefaultConfig("Perdure", "1")
	cfg.DocsPath, cfg.SchemasPath = "", ""
	cfg.CreateHooks = nil // no $schema fields in answers
	cfg.RejectUnknownQueryParameters = true
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{bearer: {
		Type: "http", Scheme: "bearer", Description: "an access token (perdure token access), or that of a log-in"}}
	s.huma = humago.New(mux, cfg)
	s.huma.UseMiddleware(s.checkRight)
	s.routes()
	s.http = s.server(s.bound(local(mux)), slog.LevelWarn)
	// Strangers on the network can't be kept from writing nonsense.
	s.remote = s.server(s.bound(http.NewCrossOriginProtection().Handler(s.identify(mux))), slog.LevelDebug)
	s.remote.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streamsMax}
	return s
}

func (s *Server) server(h http.Handler, level slog.Level) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    headerMax,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), level),
	}
}

func (s *Server) routes() {
	s.routesRead()
	s.routesHierarchy()
	s.routesResource()
	s.routesNode()
	s.routesMaintenance()
	s.routesPolicy()
	s.routesExtend()
	s.routesQuorum()
	s.routesEvents()
	s.routesAccess()
	s.routesHook()
	s.routesHealth()
}

// Serve answers until Close. It returns nil then.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends the event streams, waits a moment for requests under way, and
// closes the socket.
func (s *Server) Close() error {
	close(s.done)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := errors.Join(end(ctx, s.remote), end(ctx, s.http))
	s.stops.Wait()
	return err
}

func end(ctx context.Context, h *http.Server) error {
	if h.Shutdown(ctx) != nil {
		return h.Close()
	}
	return nil
}

// bound gives every request a size and a deadline. The event stream sets its
// own, write by write.
func (s *Server) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
		rc := http.NewResponseController(w)
		if r.URL.Path == eventsPath {
			// Whoever listens says nothing: an expired read would end the stream.
			_ = rc.SetReadDeadline(time.Time{})
			next.ServeHTTP(w, r)
			return
		}
		limit := commandTimeout
		if r.Method == http.MethodGet {
			limit = readTimeout
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		_ = rc.SetReadDeadline(time.Now().Add(limit + writeTimeout))
		_ = rc.SetWriteDeadline(time.Now().Add(limit + writeTimeout))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// local makes whoever reaches this machine's own socket an administrator: it is
// open to root alone. The name that it gives itself is taken for true.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by := r.Header.Get(byHeader)
		if len(by) > 64 || strings.ContainsFunc(by, unicode.IsControl) {
			by = ""
		}
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), Caller{Name: by, Right: cluster.Admin, Via: "local"})))
	})
}

// bearer names the way to prove who one is, in the description.
const bearer = "token"

// op describes an operation; who may call it is in [least].
func op(method, path, id, summary string, tags ...string) huma.Operation {
	o := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: tags,
		MaxBodyBytes: bodyMax, BodyReadTimeout: commandTimeout + writeTimeout,
	}
	if right := leastFor(id); right != anybody {
		o.Security = []map[string][]string{{bearer: {}}}
		o.Description = "Least role: " + string(right) + "."
	}
	return o
}

// body is an answer with a body.
type body[T any] struct{ Body T }

// get registers a look-up of the state without parameters.
func get[T any](s *Server, path, id, summary string, f func(*cluster.State) T, tags ...string) {
	do(s, op(http.MethodGet, path, id, summary, tags...), func(context.Context, *struct{}) (out T, err error) {
		st, err := s.state()
		if err != nil {
			return out, err
		}
		return f(st), nil
	})
}

// do registers a command; problems become answers.
func do[I, T any](s *Server, o huma.Operation, f func(context.Context, *I) (T, error)) {
	huma.Register(s.huma, o, func(ctx context.Context, in *I) (*body[T], error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, fail(ctx, err)
		}
		return &body[T]{out}, nil
	})
}

// OpenAPI is the description of the API.
func (s *Server) OpenAPI() *huma.OpenAPI { return s.huma.OpenAPI() }

// state is the replicated state, once the daemon has one.
func (s *Server) state() (*cluster.State, error) {
	if st := s.backend.State(); st != nil && st.Cluster != "" {
		return st, nil
	}
	return nil, newProblem(http.StatusServiceUnavailable, message.New(message.StateNotLoaded))
}

// byHeader names the person who asks; it is shown in the timeline and decides
// nothing.
const byHeader = "Perdure-By"

// Done says what became of a command.
type Done struct {
	// Entry is the line of the timeline that it made; 0: none.
	Entry uint64 `json:"entry"`
	// Applied is the index up to which the state here is known.
	Applied uint64 `json:"applied"`
	// Notes say what follows from it.
	Notes []cluster.Reason `json:"notes,omitempty"`
}

// propose has a command carried out.
func (s *Server) propose(ctx context.Context, c cluster.Command) (Done, error) {
	c.By = caller(ctx).Name
	n := noted(ctx)
	n.reason = c.Reason
	r, err := s.backend.Propose(ctx, c)
	if err != nil {
		if !message.Has(err, message.ProposalUnknown) && errors.Is(err, context.DeadlineExceeded) {
			err = message.New(message.ProposalUnknown, commandTimeout).Wrap(err)
		}
		return Done{}, problem(http.StatusServiceUnavailable, err)
	}
	if r.Refused() {
		return Done{}, refusal(r.Refusal)
	}
	n.entry = r.Entry
	d := Done{Entry: r.Entry}
	if st := s.backend.State(); st != nil {
		d.Applied = st.Applied
	}
	return d, nil
}
