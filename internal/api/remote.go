package api

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"github.com/perdure-ha/perdure/internal/message"
)

// DefaultPort is where the API listens for others than its own machine.
const DefaultPort = 7443

const (
	// connectionsMax bounds the connections of one address; more wait.
	connectionsMax = 128
	// streamsMax bounds the requests at once on one connection.
	streamsMax = 32
	// sessionCookie carries a log-in in browsers.
	sessionCookie = "perdure_session"
)

// Access is what the API needs to let others in than its own machine.
type Access struct {
	// CAPin is SHA-256 of the public key of the cluster's CA; see package pki.
	CAPin [32]byte
	// Audit keeps the audit log; nil: there is none.
	Audit Audit
}

// SetAccess sets it, before the server serves.
func (s *Server) SetAccess(a Access) { s.access = a }

// ServeTLS answers on an address that others reach, until Close or until the
// listener is closed. It returns nil then. Every request there must show an
// access token.
func (s *Server) ServeTLS(l net.Listener, c *tls.Config) error {
	c = c.Clone()
	c.NextProtos = []string{"h2", "http/1.1"}
	err := s.remote.Serve(tls.NewListener(netutil.LimitListener(l, connectionsMax), c))
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// identify finds out who asks over the network. Whoever shows something that
// proves nothing is answered here; whoever shows nothing goes on as nobody.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := Caller{From: r.RemoteAddr}
		text := shown(r)
		if text == "" {
			next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), who)))
			return
		}
		if wait := s.failures.wait(source(r.RemoteAddr)); wait > 0 {
			s.turnAway(w, r, http.StatusTooManyRequests, message.New(message.TooManyFailures, wait.Round(time.Second)), wait)
			return
		}
		st := s.backend.State()
		t, err := ParseAccessToken(text)
		if err == nil && st != nil {
			if k, ok := t.find(st, s.now().Unix()); ok {
				who.Name, who.Right, who.Via, who.Key, who.Until = k.Name, k.Right, "token", k.ID, k.ExpiresUnix
				if k.User != "" {
					who.Name, who.Via = k.User, "login"
				}
				next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), who)))
				return
			}
		}
		s.failures.failed(source(r.RemoteAddr))
		s.turnAway(w, r, http.StatusUnauthorized, message.New(message.NotAuthenticated), 0)
	})
}

// shown is the access token of a request; empty: none.
func shown(r *http.Request) string {
	if kind, text, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
		return text
	}
	if c, err := r.Cookie(sessionCookie); err == nil {
		return c.Value
	}
	return ""
}

// turnAway answers a request that shows a wrong token, before any operation.
func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, status int, e *message.Error, wait time.Duration) {
	if n := s.failures.worth(r.RemoteAddr); n > 0 && s.access.Audit != nil {
		s.access.Audit.Record(AuditRecord{At: s.now().UTC().Truncate(time.Millisecond), Who: "unknown", From: r.RemoteAddr, Op: "-",
			Path: bounded(r.URL.Path, 256), Result: "denied", Status: status, Code: e.Code(), Count: n})
	}
	writeProblem(w, newProblem(status, e), wait)
}

func bounded(s string, most int) string { return s[:min(len(s), most)] }

// stands reports whether what a caller showed is still good: a stream outlives
// the moment at which it was checked.
func (s *Server) stands(c Caller) bool {
	if c.Via == "local" {
		return true
	}
	st := s.backend.State()
	if st == nil {
		return false
	}
	k := st.Key(c.Key)
	return k != nil && !k.Expired(s.now().Unix())
}
