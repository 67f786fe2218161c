package cluster

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestRights(t *testing.T) {
	for _, tt := range []struct {
		has, least Right
		want       bool
	}{
		{Guest, Guest, true}, {Guest, Operator, false}, {Guest, Admin, false},
		{Operator, Guest, true}, {Operator, Operator, true}, {Operator, Admin, false},
		{Admin, Guest, true}, {Admin, Operator, true}, {Admin, Admin, true},
		{"", Guest, false}, {"root", Guest, false}, {Admin, "", false}, {Admin, "root", false}, {"", "", false},
	} {
		if got := tt.has.Allows(tt.least); got != tt.want {
			t.Errorf("%q allows %q: %v", tt.has, tt.least, got)
		}
	}
}

// accessState is a cluster with an operator who has logged in and an access
// token of a program.
func accessState(t *testing.T) *State {
	t.Helper()
	s := New("c", "test", AddNode{Name: "a", Role: RoleNode}, 1)
	for _, c := range []Command{
		{SetUser: &SetUser{User{Name: "mia", Right: Operator, Password: "h1"}}},
		{AddKey: &AddKey{Key: Key{ID: "s1", User: "mia", Name: "mia", Right: Operator, Hash: "x", ExpiresUnix: 100}, NowUnix: 1}},
		{AddKey: &AddKey{Key: Key{ID: "k1", Name: "backup", Right: Guest, Hash: "y"}, NowUnix: 1}},
	} {
		if r := s.Apply(s.Applied+1, &c); r.Refused() {
			t.Fatal(r.Refusal)
		}
	}
	return s
}

func TestAccess(t *testing.T) {
	for _, tt := range []struct {
		name    string
		c       Command
		refusal string
		keys    string // what is left
	}{
		{"another password ends log-ins", Command{SetUser: &SetUser{User{Name: "mia", Right: Operator, Password: "h2"}}}, "", "k1"},
		{"another role ends log-ins", Command{SetUser: &SetUser{User{Name: "mia", Right: Guest}}}, "", "k1"},
		{"nothing new leaves them", Command{SetUser: &SetUser{User{Name: "mia", Right: Operator}}}, "", "s1 k1"},
		{"deleting ends them", Command{DeleteUser: &DeleteUser{"mia"}}, "", "k1"},
		{"no such user", Command{DeleteUser: &DeleteUser{"max"}}, RefusedNoUser, "s1 k1"},
		{"a user needs a password", Command{SetUser: &SetUser{User{Name: "max", Right: Guest}}}, RefusedPassword, "s1 k1"},
		{"no such role", Command{SetUser: &SetUser{User{Name: "max", Right: "root", Password: "x"}}}, RefusedNoRight, "s1 k1"},
		{"a bad name", Command{SetUser: &SetUser{User{Name: "a b", Right: Guest, Password: "x"}}}, RefusedBadName, "s1 k1"},
		{"revoked", Command{DeleteKey: &DeleteKey{"k1"}}, "", "s1"},
		{"logged out", Command{DeleteKey: &DeleteKey{"s1"}}, "", "k1"},
		{"revoked twice", Command{DeleteKey: &DeleteKey{"k9"}}, RefusedNoKey, "s1 k1"},
		{"expired ones go", Command{AddKey: &AddKey{Key: Key{ID: "k2", Name: "x", Right: Guest, Hash: "z"}, NowUnix: 100}}, "", "k1 k2"},
		{"an id twice", Command{AddKey: &AddKey{Key: Key{ID: "k1", Name: "x", Right: Admin, Hash: "z"}}}, RefusedExists, "s1 k1"},
		{"a log-in above the user's role", Command{AddKey: &AddKey{Key: Key{ID: "s2", User: "mia", Right: Admin, Hash: "z"}}}, RefusedNoUser, "s1 k1"},
		{"a log-in of nobody", Command{AddKey: &AddKey{Key: Key{ID: "s2", User: "max", Right: Guest, Hash: "z"}}}, RefusedNoUser, "s1 k1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := accessState(t)
			if r := s.Apply(s.Applied+1, &tt.c); r.Refusal.Code != tt.refusal {
				t.Errorf("refusal %+v, want %q", r.Refusal, tt.refusal)
			}
			var keys []string
			for _, k := range s.Keys {
				keys = append(keys, k.ID)
			}
			if got := strings.Join(keys, " "); got != tt.keys {
				t.Errorf("access tokens %q, want %q", got, tt.keys)
			}
		})
	}
}

func TestAccessIsBounded(t *testing.T) {
	s := accessState(t)
	for i := range MaxKeys * 2 {
		s.Apply(s.Applied+1, &Command{AddKey: &AddKey{Key: Key{ID: fmt.Sprint("s", i+10), User: "mia", Right: Guest, Hash: "x"}}})
		s.Apply(s.Applied+1, &Command{AddKey: &AddKey{Key: Key{ID: fmt.Sprint("k", i+10), Name: "x", Right: Guest, Hash: "x"}}})
		s.Apply(s.Applied+1, &Command{SetUser: &SetUser{User{Name: fmt.Sprint("u", i), Right: Guest, Password: "x"}}})
	}
	sessions := 0
	for _, k := range s.Keys {
		if k.User != "" {
			sessions++
		}
	}
	if len(s.Keys) != MaxKeys || sessions != MaxSessions || len(s.Users) != MaxUsers {
		t.Errorf("%d tokens, %d log-ins, %d users", len(s.Keys), sessions, len(s.Users))
	}
	if s.Key("s1") != nil {
		t.Error("the oldest log-in is still there")
	}
}

func TestShownHasNoSecret(t *testing.T) {
	s := accessState(t)
	s.Users[0].Password, s.Keys[0].Hash, s.Keys[1].Hash = "secret", "secret", "secret"
	if bytes.Contains(s.Shown().Encode(), []byte("secret")) {
		t.Error("a secret is shown")
	}
	if s.Users[0].Password == "" || s.Keys[0].Hash == "" {
		t.Error("the state itself lost its secrets")
	}
}
