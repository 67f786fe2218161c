package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// sessionLife is how long a log-in is good for: a working day.
const sessionLife = 12 * time.Hour

// Login asks for a log-in.
type Login struct {
	Name     string `json:"name" maxLength:"63"`
	Password string `json:"password" maxLength:"256"`
	Cookie   bool   `json:"cookie,omitempty" doc:"also set the cookie perdure_session, for browsers"`
}

// LoggedIn is a log-in. Its token is shown once.
type LoggedIn struct {
	Token   string        `json:"token"`
	Role    cluster.Right `json:"role"`
	Expires time.Time     `json:"expires"`
}

// UserChange makes or changes a user.
type UserChange struct {
	Role     cluster.Right `json:"role" enum:"admin,operator,guest"`
	Password string        `json:"password,omitempty" maxLength:"256" doc:"empty: leave it; a new user needs one"`
}

// PasswordChange changes the caller's own password.
type PasswordChange struct {
	Old string `json:"old" maxLength:"256"`
	New string `json:"new" maxLength:"256"`
}

// NewKey asks for an access token.
type NewKey struct {
	Name         string        `json:"name" maxLength:"63" doc:"what it is for; the timeline and the audit log name it"`
	Role         cluster.Right `json:"role" enum:"admin,operator,guest"`
	ValidSeconds int           `json:"valid_seconds,omitempty" minimum:"0" maximum:"157680000" doc:"0: until it is revoked"`
}

// KeyMade is an access token. It is shown once.
type KeyMade struct {
	Done
	ID      string        `json:"id"`
	Token   string        `json:"token"`
	Role    cluster.Right `json:"role"`
	Expires time.Time     `json:"expires,omitzero"`
}

// OnUser is the path of a user.
type OnUser struct {
	User string `path:"user" maxLength:"63"`
}

// OnKey is the path of an access token.
type OnKey struct {
	Key string `path:"key" maxLength:"32"`
}

func (s *Server) routesAccess() {
	registerLogin(s)
	do(s, op(http.MethodDelete, "/v1/session", "session-delete", "End this log-in", "access"), s.logout)
	do(s, op(http.MethodGet, "/v1/whoami", "whoami", "Who asks, and what it may do", "access"),
		func(ctx context.Context, _ *struct{}) (Caller, error) { return caller(ctx), nil })
	do(s, op(http.MethodPut, "/v1/me/password", "password-set", "Change one's own password; all log-ins end", "access"), s.setPassword)
	get(s, "/v1/users", "users", "The users", func(st *cluster.State) []cluster.User { return some(st.Shown().Users) }, "access")
	do(s, op(http.MethodPut, "/v1/users/{user}", "user-set", "Make or change a user", "access"), s.setUser)
	do(s, op(http.MethodDelete, "/v1/users/{user}", "user-delete", "Delete a user with all log-ins", "access"),
		func(ctx context.Context, in *OnUser) (Done, error) {
			return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedUserDelete, in.User), DeleteUser: &cluster.DeleteUser{Name: in.User}})
		})
	get(s, "/v1/keys", "keys", "The access tokens and log-ins; their secrets are known to nobody",
		func(st *cluster.State) []cluster.Key { return some(st.Shown().Keys) }, "access")
	do(s, op(http.MethodPost, "/v1/keys", "key-create", "Make an access token", "access"), s.createKey)
	do(s, op(http.MethodDelete, "/v1/keys/{key}", "key-delete", "Revoke an access token, or end a log-in", "access"), s.deleteKey)
	do(s, op(http.MethodGet, "/v1/audit", "audit", "The audit log of this node, oldest first", "access"), s.audit)
}

// some makes an empty list of none.
func some[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// audit returns the newest lines.
func (s *Server) audit(_ context.Context, in *struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"the newest so many"`
}) ([]AuditRecord, error) {
	if s.access.Audit == nil {
		return []AuditRecord{}, nil
	}
	r, err := s.access.Audit.Last(in.Limit)
	if err != nil {
		return nil, problem(http.StatusServiceUnavailable, err)
	}
	return some(r), nil
}

func (s *Server) setUser(ctx context.Context, in *struct {
	OnUser
	Body UserChange
}) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	u := cluster.User{Name: in.User, Right: in.Body.Role}
	code := message.AskedUser
	if st.User(in.User) == nil && in.Body.Password == "" {
		return Done{}, refusal(cluster.Because(message.RefusedPassword, in.User))
	}
	if in.Body.Password != "" {
		if u.Password, err = s.passwords.hash(ctx, in.Body.Password); err != nil {
			return Done{}, err
		}
		u.ChangedUnix, code = s.now().Unix(), message.AskedUserPassword
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(code, in.User, u.Right), SetUser: &cluster.SetUser{User: u}})
}

// setPassword is for whoever has logged in: the old password must be shown
// again, because a log-in may have been left open.
func (s *Server) setPassword(ctx context.Context, in *struct{ Body PasswordChange }) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	who := caller(ctx)
	u := st.User(who.Name)
	if who.Via != "login" || u == nil {
		return Done{}, newProblem(http.StatusConflict, message.New(message.NoOwnPassword))
	}
	if err := s.checkPassword(ctx, u, who.Name, in.Body.Old); err != nil {
		return Done{}, err
	}
	changed := *u
	if changed.Password, err = s.passwords.hash(ctx, in.Body.New); err != nil {
		return Done{}, err
	}
	changed.ChangedUnix = s.now().Unix()
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedUserPassword, u.Name, u.Right), SetUser: &cluster.SetUser{User: changed}})
}

// checkPassword compares, and counts failures by source and by name.
func (s *Server) checkPassword(ctx context.Context, u *cluster.User, name, password string) error {
	keys := []string{source(caller(ctx).From), "user " + name}
	if wait := s.failures.wait(keys...); wait > 0 {
		return newProblem(http.StatusTooManyRequests, message.New(message.TooManyFailures, wait.Round(time.Second)))
	}
	kept := nobody
	if u != nil {
		kept = u.Password
	}
	ok, err := s.passwords.matches(ctx, kept, password)
	if err != nil {
		return err
	}
	if !ok || u == nil {
		s.failures.failed(keys...)
		return newProblem(http.StatusUnauthorized, message.New(message.LoginRefused))
	}
	return nil
}

// login makes a log-in: an access token of the user's.
func (s *Server) login(ctx context.Context, in Login) (LoggedIn, error) {
	noted(ctx).who = bounded(in.Name, 63)
	st, err := s.state()
	if err != nil {
		return LoggedIn{}, err
	}
	u := st.User(in.Name)
	if err := s.checkPassword(ctx, u, in.Name, in.Password); err != nil {
		return LoggedIn{}, err
	}
	now := s.now()
	t := newAccessToken(s.access.CAPin)
	out := LoggedIn{Token: t.String(), Role: u.Right, Expires: now.Add(sessionLife).Truncate(time.Second)}
	_, err = s.propose(ctx, cluster.Command{AddKey: &cluster.AddKey{NowUnix: now.Unix(), Key: cluster.Key{
		ID: t.ID, Name: u.Name, User: u.Name, Right: u.Right, Hash: t.hash(), CreatedUnix: now.Unix(), ExpiresUnix: out.Expires.Unix()}}})
	if err != nil {
		return LoggedIn{}, err
	}
	return out, nil
}

func (s *Server) logout(ctx context.Context, _ *struct{}) (Done, error) {
	who := caller(ctx)
	if who.Via != "login" {
		return Done{}, newProblem(http.StatusConflict, message.New(message.NoOwnPassword))
	}
	return s.propose(ctx, cluster.Command{DeleteKey: &cluster.DeleteKey{ID: who.Key}})
}

func (s *Server) createKey(ctx context.Context, in *struct{ Body NewKey }) (KeyMade, error) {
	if !cluster.ValidName(in.Body.Name) {
		return KeyMade{}, refusal(cluster.Because(message.RefusedBadName, in.Body.Name))
	}
	now := s.now()
	t := newAccessToken(s.access.CAPin)
	k := cluster.Key{ID: t.ID, Name: in.Body.Name, Right: in.Body.Role, Hash: t.hash(), CreatedUnix: now.Unix()}
	out := KeyMade{ID: t.ID, Token: t.String(), Role: k.Right}
	if in.Body.ValidSeconds > 0 {
		out.Expires = now.Add(time.Duration(in.Body.ValidSeconds) * time.Second).Truncate(time.Second)
		k.ExpiresUnix = out.Expires.Unix()
	}
	var err error
	out.Done, err = s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedKey, k.Name, k.Right, k.ID),
		AddKey: &cluster.AddKey{Key: k, NowUnix: now.Unix()}})
	if err != nil {
		return KeyMade{}, err
	}
	return out, nil
}

func (s *Server) deleteKey(ctx context.Context, in *OnKey) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	name := in.Key
	if k := st.Key(in.Key); k != nil {
		name = fmt.Sprintf("%s (%s)", k.Name, k.ID)
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedKeyDelete, name), DeleteKey: &cluster.DeleteKey{ID: in.Key}})
}
