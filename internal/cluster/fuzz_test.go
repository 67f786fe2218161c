package cluster

import (
	"bytes"
	"testing"
)

// FuzzDecodeState: what is accepted is a state that can be written again and
// asked anything, and nothing makes the decoder panic.
func FuzzDecodeState(f *testing.F) {
	s := New("c", "test", AddNode{Name: "a", Role: RoleNode}, 1)
	f.Add(s.Encode())
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"nodes":[{"id":1}],"hierarchies":[{"name":"x","resources":[{"name":"a","depends_on":["a"]}]}]}`))
	f.Add([]byte(`null`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeState(b)
		if err != nil {
			return
		}
		if s.Version < 1 || s.Version > StateVersion {
			t.Fatalf("accepted version %d", s.Version)
		}
		one := s.Encode()
		two, err := DecodeState(one)
		if err != nil {
			t.Fatalf("read what was written: %v\n%s", err, one)
		}
		if !bytes.Equal(one, two.Encode()) {
			t.Fatalf("written twice, and different:\n%s\n%s", one, two.Encode())
		}
		for i := range s.Hierarchies {
			s.Hierarchies[i].StartOrder()
		}
	})
}

// FuzzDecodeCommand: whatever is accepted can be applied without harm to the
// process, and with the same result on two nodes.
func FuzzDecodeCommand(f *testing.F) {
	for _, c := range []Command{
		{Admit: &Admit{Node: 1, Session: "s"}},
		{Evict: &Evict{Node: 1, Generation: 1, Conf: 1, Promises: []NodeID{1}}},
		{CreateHierarchy: &CreateHierarchy{Name: "web", Nodes: []NodeID{1}, Resources: []Resource{{Name: "ip", DependsOn: []string{"x"}}}}},
		{ID: 1, SetDetection: &SetDetection{Detection: DetectionFast}},
		{Member: &Member{Node: 1, As: AsNothing}},
		{Note: &Note{Kind: KindPath}},
	} {
		f.Add(c.Encode())
	}
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(`{"v":9}`))
	f.Add([]byte(`{"v":1,"set_resource":{},"admit":{}}`))
	first := New("c", "test", AddNode{Name: "a", Role: RoleNode}, 1)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCommand(b)
		if err != nil {
			return
		}
		again, err := DecodeCommand(c.Encode())
		if err != nil {
			t.Fatalf("read what was written: %v", err)
		}
		one, two := first.Clone(), first.Clone()
		one.Apply(2, c)
		two.Apply(2, again)
		if !bytes.Equal(one.Encode(), two.Encode()) {
			t.Fatalf("%s: the same command, and different states:\n%s\n%s", b, one.Encode(), two.Encode())
		}
	})
}
