package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// loginAnswer also sets a cookie for browsers, if they asked for one: no script
// can read it, and other sites can't use it.
type loginAnswer struct {
	SetCookie string `header:"Set-Cookie"`
	Body      LoggedIn
}

func registerLogin(s *Server) {
	huma.Register(s.huma, op(http.MethodPost, "/v1/session", "session-create", "Log in with a password", "access"),
		func(ctx context.Context, in *struct{ Body Login }) (*loginAnswer, error) {
			out, err := s.login(ctx, in.Body)
			if err != nil {
				return nil, fail(ctx, err)
			}
			answer := &loginAnswer{Body: out}
			if in.Body.Cookie {
				c := http.Cookie{Name: sessionCookie, Value: out.Token, Path: "/", Expires: out.Expires, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
				answer.SetCookie = c.String()
			}
			return answer, nil
		})
}

// fail makes a problem of an error and leaves its code for the audit log.
func fail(ctx context.Context, err error) error {
	p := problem(http.StatusUnprocessableEntity, err)
	noted(ctx).code = p.Code
	return p
}

// writeProblem answers outside of any operation.
func writeProblem(w http.ResponseWriter, p *Problem, wait time.Duration) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="perdure"`)
	}
	if wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
