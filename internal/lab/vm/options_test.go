package vm

import (
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Perdure: "/p"}, ""},
		{Options{Perdure: "/p", Kind: QEMU, Nodes: []string{"a", "b", "w"}}, ""},
		{Options{}, "which perdure"},
		{Options{Perdure: "/p", Kind: "xen"}, "the kinds are uml and qemu"},
		{Options{Perdure: "/p", Nodes: []string{"a", "a"}}, `"a" is empty, taken`},
		{Options{Perdure: "/p", Nodes: []string{"h1"}}, `"h1" is empty, taken`},
		{Options{Perdure: "/p", Nodes: []string{"client"}}, "taken"},
		{Options{Perdure: "/p", Nodes: []string{"longer"}}, "longer than 5"},
		{Options{Perdure: "/p", Nodes: make([]string, 17)}, "at most 16"},
	} {
		err := c.o.withDefaults().check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
	for _, network := range Networks() {
		// The longest names: a port is a network interface.
		if name := portName("nodes", network); len(name) > 15 {
			t.Errorf("%s is too long for an interface", name)
		}
	}
	if _, err := networksOf("lan"); err == nil || !strings.Contains(err.Error(), "public") {
		t.Errorf("an unknown network: %v", err)
	}
}
