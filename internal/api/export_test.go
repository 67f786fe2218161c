package api

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// ReadEvents is for the fuzz test.
var ReadEvents = readEvents

// Least is the table of least roles.
func Least() map[string]cluster.Right { return least }

// SetNow sets the clock.
func (s *Server) SetNow(now func() time.Time) { s.now = now }

// ParseArgon reads a password's hash.
func ParseArgon(kept string) bool {
	_, _, _, _, _, ok := parseArgon(kept)
	return ok
}
