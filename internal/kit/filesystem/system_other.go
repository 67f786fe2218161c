//go:build !linux

package filesystem

import (
	"context"
	"errors"

	"github.com/moby/sys/mountinfo"
)

// errNotHere is never seen: New refuses before.
var errNotHere = errors.New("only Linux mounts file systems")

func numberOf(string) (number, error)       { return number{}, errNotHere }
func btrfsDevices(string) []number          { return nil }
func realPath(path string) (string, error)  { return path, nil }
func held(string) (bool, error)             { return false, errNotHere }
func knownType(string) bool                 { return false }
func changes(context.Context, func()) error { return errNotHere }

type user struct{ name string }

func (u user) String() string { return u.name }

func users(context.Context, []string) []user                     { return nil }
func foreignUsers(context.Context, device) []user                { return nil }
func kernelUsers([]string) []string                              { return nil }
func endUsers(context.Context, []user, bool) []user              { return nil }
func mountsOf(all []*mountinfo.Info, d device) []*mountinfo.Info { return nil }

var deviceGone []error
