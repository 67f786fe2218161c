package procs

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestReadsItself(t *testing.T) {
	p, ok, err := Read(os.Getpid())
	if err != nil || !ok || p.Parent != os.Getppid() || p.Start == 0 || !slices.Equal(p.Argv, os.Args) {
		t.Errorf("%+v %v %v", p, ok, err)
	}
	t.Setenv("PROCS_TEST", "unseen") // only what a process began with is seen
	if all, err := Marked(func(e string) bool { return strings.HasPrefix(e, "PROCS_TEST=") }); err != nil || len(all) != 0 {
		t.Errorf("%+v %v", all, err)
	}
}

func TestTree(t *testing.T) {
	all := []Process{{PID: 5, Parent: 3}, {PID: 3, Parent: 1}, {PID: 9, Parent: 5}, {PID: 4, Parent: 1}}
	if got := Tree(all, 3); !slices.Equal(got, []int{3, 5, 9}) {
		t.Errorf("tree %v", got)
	}
}

func TestPerdure(t *testing.T) {
	all := []Process{
		{PID: 1, Argv: []string{"/x/perdure", "guardian"}}, {PID: 2, Argv: []string{"perdure", "daemon", "--guard-fd"}},
		{PID: 3, Argv: []string{"/x/perdure", "status"}}, {PID: 4, Argv: []string{"/bin/sh", "guardian"}}, {PID: 5, Argv: []string{""}},
	}
	if got := IDs(Perdure(all, "/y/perdure", "")); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("all %v", got)
	}
	if got := IDs(Perdure(all, "/y/perdure", "daemon")); !slices.Equal(got, []int{2}) {
		t.Errorf("daemons %v", got)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 1 2")
	f.Add("7 (a) b) T 1")
	f.Fuzz(func(t *testing.T, stat string) { _, _ = ParseStat(stat) })
}
