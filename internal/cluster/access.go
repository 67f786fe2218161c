package cluster

import (
	"cmp"
	"slices"
)

// Right is what somebody who isn't the administrator of a node's own machine may
// do, in the whole cluster. Each includes those before it.
type Right string

const (
	// Guest looks at everything that is no secret.
	Guest Right = "guest"
	// Operator also moves services, brings them in and out of service, and puts
	// nodes in maintenance.
	Operator Right = "operator"
	// Admin may do everything: what a resource runs, it runs as root.
	Admin Right = "admin"
)

// Valid reports whether the right is one of the three.
func (r Right) Valid() bool { return r.rank() > 0 }

// Allows reports whether r includes least. What isn't a right includes nothing
// and is included by nothing.
func (r Right) Allows(least Right) bool { return least.Valid() && r.rank() >= least.rank() }

func (r Right) rank() int { return slices.Index([]Right{"", Guest, Operator, Admin}, r) }

// Limits of what the document carries about access.
const (
	MaxUsers = 64
	// MaxKeys bounds the access tokens, log-ins included.
	MaxKeys = 256
	// MaxSessions bounds the log-ins of one user: an older one ends.
	MaxSessions = 16
)

// User may log in with a password.
type User struct {
	Name  string `json:"name"`
	Right Right  `json:"role"`
	// Password is what a password is checked against: Argon2id with its
	// parameters and salt, see package api. It is never shown.
	Password string `json:"password,omitempty"`
	// ChangedUnix is when it was set last, wall time in seconds.
	ChangedUnix int64 `json:"changed_unix,omitempty"`
}

// Key is an access token: what a program, or a person who has logged in, shows
// with each request.
type Key struct {
	ID    string `json:"id"` // random, says nothing
	Name  string `json:"name"`
	Right Right  `json:"role"`
	// User is whose log-in it is; empty: a token that an administrator made.
	User string `json:"user,omitempty"`
	// Hash is SHA-256 of the secret, hex. The secret is random, so a slow hash
	// would protect nothing more. It is never shown.
	Hash        string `json:"hash,omitempty"`
	CreatedUnix int64  `json:"created_unix,omitempty"`
	// ExpiresUnix is wall time in seconds; 0: never.
	ExpiresUnix int64 `json:"expires_unix,omitempty"`
}

// Expired reports whether the token's time is over.
func (k *Key) Expired(nowUnix int64) bool { return k.ExpiresUnix != 0 && k.ExpiresUnix <= nowUnix }

// SetUser makes or changes a user. An empty password leaves the one there is.
// Whoever changes password or right ends the user's log-ins.
type SetUser struct {
	User User `json:"user"`
}

// DeleteUser removes a user with all log-ins.
type DeleteUser struct {
	Name string `json:"name"`
}

// AddKey makes an access token known. Expired ones are dropped on the way.
type AddKey struct {
	Key     Key   `json:"key"`
	NowUnix int64 `json:"now_unix"`
}

// DeleteKey revokes an access token, or ends a log-in.
type DeleteKey struct {
	ID string `json:"id"`
}

// Codes of refusals about access. Their texts are in the message catalogue.
const (
	RefusedNoUser   = "PD7401" // user {0}
	RefusedTooMany  = "PD7402" // {0} of {1} at most
	RefusedNoKey    = "PD7403" // access token {0}
	RefusedNoRight  = "PD7404" // {0} is no role
	RefusedPassword = "PD7405" // user {0} has no password
)

// User finds a user; nil if there is none.
func (s *State) User(name string) *User {
	if i := slices.IndexFunc(s.Users, func(u User) bool { return u.Name == name }); i >= 0 {
		return &s.Users[i]
	}
	return nil
}

// Key finds an access token by its id; nil if there is none.
func (s *State) Key(id string) *Key {
	if i := slices.IndexFunc(s.Keys, func(k Key) bool { return k.ID == id }); i >= 0 {
		return &s.Keys[i]
	}
	return nil
}

func (s *State) setUser(index uint64, c *Command, a *SetUser) Result {
	u := a.User
	old := s.User(u.Name)
	switch {
	case !ValidName(u.Name):
		return refuse(RefusedBadName, u.Name)
	case !u.Right.Valid():
		return refuse(RefusedNoRight, u.Right)
	case old == nil && u.Password == "":
		return refuse(RefusedPassword, u.Name)
	case old == nil && len(s.Users) >= MaxUsers:
		return refuse(RefusedTooMany, "users", MaxUsers)
	}
	if old != nil {
		if u.Password == "" {
			u.Password, u.ChangedUnix = old.Password, old.ChangedUnix
		}
		if u.Password != old.Password || u.Right != old.Right {
			s.endSessions(u.Name)
		}
		*old = u
	} else {
		s.Users = append(s.Users, u)
		slices.SortFunc(s.Users, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindAccess})}
}

func (s *State) deleteUser(index uint64, c *Command, a *DeleteUser) Result {
	if s.User(a.Name) == nil {
		return refuse(RefusedNoUser, a.Name)
	}
	s.Users = slices.DeleteFunc(s.Users, func(u User) bool { return u.Name == a.Name })
	s.endSessions(a.Name)
	return Result{Entry: s.tell(index, c, Entry{Kind: KindAccess})}
}

func (s *State) endSessions(user string) {
	s.Keys = slices.DeleteFunc(s.Keys, func(k Key) bool { return k.User == user })
}

func (s *State) addKey(index uint64, c *Command, a *AddKey) Result {
	k := a.Key
	s.Keys = slices.DeleteFunc(s.Keys, func(k Key) bool { return k.Expired(a.NowUnix) })
	switch {
	case k.ID == "" || k.Hash == "" || s.Key(k.ID) != nil:
		return refuse(RefusedExists, k.ID)
	case !k.Right.Valid():
		return refuse(RefusedNoRight, k.Right)
	}
	if k.User != "" {
		// The user may have been deleted, or given less, since the password was
		// checked.
		u := s.User(k.User)
		if u == nil || !u.Right.Allows(k.Right) {
			return refuse(RefusedNoUser, k.User)
		}
		s.dropSession(k.User)
	} else if !ValidName(k.Name) {
		return refuse(RefusedBadName, k.Name)
	}
	if len(s.Keys) >= MaxKeys {
		return refuse(RefusedTooMany, "access tokens", MaxKeys)
	}
	s.Keys = append(s.Keys, k)
	if k.User != "" {
		return Result{} // log-ins are in the audit log; here they would push failovers out
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindAccess})}
}

// dropSession ends the oldest log-in of a user who has as many as may be.
func (s *State) dropSession(user string) {
	oldest, n := -1, 0
	for i := range s.Keys {
		if s.Keys[i].User == user {
			if n++; oldest < 0 {
				oldest = i
			}
		}
	}
	if n >= MaxSessions {
		s.Keys = slices.Delete(s.Keys, oldest, oldest+1)
	}
}

func (s *State) deleteKey(index uint64, c *Command, a *DeleteKey) Result {
	k := s.Key(a.ID)
	if k == nil {
		return refuse(RefusedNoKey, a.ID)
	}
	session := k.User != ""
	s.Keys = slices.DeleteFunc(s.Keys, func(k Key) bool { return k.ID == a.ID })
	if session {
		return Result{}
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindAccess})}
}

// Shown is the state without what is a secret, even in the form of hashes. It
// shares everything else with s.
func (s *State) Shown() *State {
	c := *s
	c.Users = slices.Clone(s.Users)
	for i := range c.Users {
		c.Users[i].Password = ""
	}
	c.Keys = slices.Clone(s.Keys)
	for i := range c.Keys {
		c.Keys[i].Hash = ""
	}
	return &c
}
