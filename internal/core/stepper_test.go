package core

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

var testStore = StoreID{Cluster: "c", Lineage: 1, Store: "s"}

// anObject is that of voter 3, beside nodes 1 and 2 which are present.
func anObject() []byte {
	s := cluster.New("c", "test", cluster.AddNode{Name: "a", Role: cluster.RoleNode}, 1)
	s.Nodes[0].Presence, s.Nodes[0].Generation = cluster.Present, 4
	s.Nodes = append(s.Nodes,
		cluster.Node{ID: 2, Name: "b", Role: cluster.RoleNode, Presence: cluster.Present, Generation: 5},
		cluster.Node{ID: 3, Name: "s", Role: cluster.RoleStorage, Presence: cluster.Joining, Storage: &cluster.Storage{ID: "s"}})
	s.Voters, s.NextID = []cluster.NodeID{1, 2, 3}, 4
	return ObjectFor(testStore, 3, s)
}

func mustStep(t *testing.T, s *Stepper, object []byte, b *Batch) ([]byte, *Outcome) {
	t.Helper()
	next, out, err := s.Step(object, b)
	if err != nil {
		t.Fatal(err)
	}
	if next != nil {
		s.Saved(SaveDone)
	} else {
		next = object
	}
	return next, out
}

func stamp(node cluster.NodeID, g cluster.Generation, sent int) *arbiter.Stamp {
	return &arbiter.Stamp{Node: node, Generation: g, Conf: 1, Life: 7, Sent: time.Duration(sent) * time.Second}
}

// A promise is given only while the stamp is the one that the asker has seen,
// and a stamp that comes after it is refused.
func TestPassivePromise(t *testing.T) {
	a, b := NewStepper(1, 3, testStore, 1, arbiter.Broken{}), NewStepper(2, 3, testStore, 2, arbiter.Broken{})
	o, out := mustStep(t, a, anObject(), &Batch{Stamp: stamp(1, 4, 1)})
	if out.Ack.Refusal != arbiter.Granted || out.Ack.Granted != cluster.DetectionBalanced {
		t.Fatalf("not acknowledged: %+v", out.Ack)
	}
	_, out = mustStep(t, b, o, &Batch{})
	if len(out.Seen.Stamps) != 1 || out.Saved {
		t.Fatalf("looking shows %+v", out.Seen)
	}
	seen := out.Seen.Stamps[0]
	ask := arbiter.Ask{Node: 1, Generation: 4, Conf: 1, Phase: arbiter.Do}
	o, _ = mustStep(t, a, o, &Batch{Stamp: stamp(1, 4, 2)})
	for _, wrong := range []StampedAsk{
		{Ask: ask, Seen: seen}, // it has moved
		{Ask: arbiter.Ask{Node: 1, Generation: 3, Conf: 1, Phase: arbiter.Do}, Seen: *stamp(1, 4, 2)},
		{Ask: arbiter.Ask{Node: 1, Generation: 4, Conf: 2, Phase: arbiter.Do}, Seen: *stamp(1, 4, 2)},
		{Ask: arbiter.Ask{Node: 9, Generation: 4, Conf: 1, Phase: arbiter.Do}, Seen: arbiter.Stamp{Node: 9}},
	} {
		o, out = mustStep(t, b, o, &Batch{Asks: []StampedAsk{wrong}})
		if out.Messages[0].Answer.Yes {
			t.Errorf("promised: %+v", wrong)
		}
	}
	o, out = mustStep(t, b, o, &Batch{Asks: []StampedAsk{{Ask: ask, Seen: *stamp(1, 4, 2)}}})
	if !out.Messages[0].Answer.Yes {
		t.Error("not promised though nothing speaks against it")
	}
	o, out = mustStep(t, a, o, &Batch{Stamp: stamp(1, 4, 3)})
	if out.Ack.Refusal != arbiter.RefusedPromised {
		t.Errorf("acknowledged after the promise: %+v", out.Ack)
	}
	for _, st := range []*arbiter.Stamp{stamp(2, 4, 1), stamp(2, 6, 1), stamp(3, 1, 1), stamp(8, 1, 1)} {
		if o, out = mustStep(t, b, o, &Batch{Stamp: st}); out.Ack.Refusal != arbiter.RefusedGeneration {
			t.Errorf("%+v: %+v", st, out.Ack)
		}
	}
	other := stamp(2, 5, 1)
	other.Conf = 2
	if _, out := mustStep(t, b, o, &Batch{Stamp: other}); out.Ack.Refusal != arbiter.RefusedConf {
		t.Errorf("another configuration: %+v", out.Ack)
	}
}

// Whatever is put in the object's place is refused by whoever saved it, and by
// everybody if it isn't this voter's.
func TestStepperRefuses(t *testing.T) {
	s := NewStepper(1, 3, testStore, 1, arbiter.Broken{})
	first := anObject()
	second, _ := mustStep(t, s, first, &Batch{Stamp: stamp(1, 4, 1)})
	forked, _ := mustStep(t, NewStepper(1, 3, testStore, 9, arbiter.Broken{}), first, &Batch{Stamp: stamp(1, 4, 1)})
	for range 3 {
		forked, _ = mustStep(t, NewStepper(2, 3, testStore, 9, arbiter.Broken{}), forked, &Batch{Stamp: stamp(2, 5, 1)})
	}
	for name, c := range map[string]struct {
		object []byte
		want   error
	}{
		"older":            {first, ErrWentBack},
		"forked and ahead": {forked, ErrWentBack},
		"new":              {NewObject(testStore, 1), ErrUnused},
		"another cluster":  {NewObject(StoreID{"d", 1, "s"}, 1), ErrForeign},
		"another lineage":  {NewObject(StoreID{"c", 2, "s"}, 1), ErrForeign},
		"another store":    {NewObject(StoreID{"c", 1, "t"}, 1), ErrForeign},
		"another voter":    {ObjectFor(testStore, 4, cluster.New("c", "x", cluster.AddNode{Name: "a"}, 1)), ErrForeign},
		"empty":            {nil, ErrObject},
		"cut off":          {second[:len(second)-1], ErrObject},
		"zeros":            {make([]byte, 4096), ErrObject},
		"a bit turned":     {append(bytes.Clone(second[:40]), append([]byte{second[40] ^ 1}, second[41:]...)...), ErrObject},
	} {
		if _, _, err := s.Step(c.object, &Batch{Stamp: stamp(1, 4, 2)}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if next, _, err := s.Step(second, &Batch{Stamp: stamp(1, 4, 2)}); err != nil || next == nil {
		t.Errorf("its own object: %v", err)
	}
	// A save of which nobody knows the end is either there or not.
	s.Saved(SaveUnknown)
	if _, _, err := s.Step(second, &Batch{}); err != nil {
		t.Errorf("the unknown save isn't there: %v", err)
	}
}

// TestObjectVector: every release writes this object byte for byte and reads it.
func TestObjectVector(t *testing.T) {
	const file = "testdata/object-v1.txt"
	object, _ := mustStep(t, NewStepper(1, 3, testStore, 1, arbiter.Broken{}), anObject(), &Batch{
		Stamp: stamp(1, 4, 1), Mail: []*Message{{From: 1, To: 2, Propose: []byte(`{"v":1}`)}},
	})
	text := hex.EncodeToString(object) + "\n"
	if *rewrite {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("this is not what other releases write:\n%s\nwant\n%s", text, want)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(want)))
	if err != nil {
		t.Fatal(err)
	}
	_, out := mustStep(t, NewStepper(2, 3, testStore, 1, arbiter.Broken{}), b, &Batch{})
	if len(out.Mail) != 1 || out.Mail[0].To != 2 || len(out.Seen.Stamps) != 1 {
		t.Errorf("it says %+v", out)
	}
}

// FuzzObject: nothing that lies in a store harms the process, and what is
// accepted can be stepped.
func FuzzObject(f *testing.F) {
	f.Add(anObject())
	f.Add(NewObject(testStore, 1))
	f.Add([]byte(objectMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The checksum is for damage, not for malice: what was written by an
		// enemy has a right one.
		if len(b) > 4 {
			b = sealed(b[:len(b)-4])
		}
		s := NewStepper(1, 3, testStore, 1, arbiter.Broken{})
		next, _, err := s.Step(b, &Batch{Stamp: stamp(1, 4, 1)})
		if err != nil {
			return
		}
		s.Saved(SaveDone)
		if _, _, err := s.Step(next, &Batch{Stamp: stamp(1, 4, 2)}); err != nil {
			t.Fatalf("what it wrote is refused: %v", err)
		}
	})
}
