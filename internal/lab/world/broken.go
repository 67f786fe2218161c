package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perdure-ha/perdure/internal/arbiter"
)

// brokenRules are the negative controls: what is removed from every core, and
// must be noticed by a checker.
var brokenRules = map[string]arbiter.Broken{
	"no-lease-end":     {NoLeaseEnd: true},
	"no-restart-wait":  {NoRestartWait: true},
	"no-margin":        {NoMargin: true},
	"ack-after":        {AckAfter: true},
	"no-conf-wait":     {NoConfWait: true},
	"forget-promises":  {ForgetPromises: true},
	"minority":         {Minority: true},
	"send-before-sync": {SendFirst: true},
	"no-stamp-wait":    {NoStampWait: true},
	"blind-save":       {BlindSave: true},
	"answer-first":     {AnswerFirst: true},
}

// BrokenNames lists the negative controls.
func BrokenNames() []string {
	var names []string
	for n := range brokenRules {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// BrokenBy finds a negative control; the empty name breaks nothing.
func BrokenBy(name string) (arbiter.Broken, error) {
	if name == "" {
		return arbiter.Broken{}, nil
	}
	b, ok := brokenRules[name]
	if !ok {
		return b, fmt.Errorf("no rule %q to remove; there are %s", name, strings.Join(BrokenNames(), ", "))
	}
	return b, nil
}
