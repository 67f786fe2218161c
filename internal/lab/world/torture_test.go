package world

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTorture runs some hundred random schedules; lab/sim runs any number.
func TestTorture(t *testing.T) {
	n := uint64(400)
	if underRace || testing.Short() {
		n = 16
	}
	var total Report
	for seed := uint64(1); seed <= n; seed++ {
		r := torture(t, seed)
		total.Faults += r.Faults
		total.Evictions += r.Evictions
		total.Assigned += r.Assigned
		total.Settled = max(total.Settled, r.Settled)
	}
	t.Logf("%d schedules: %d faults, %d evictions, %d assignments; settled after at most %v", n, total.Faults, total.Evictions, total.Assigned, total.Settled)
	if n > 100 && total.Evictions < int(n)/10 || total.Assigned < int(n) {
		t.Error("little happened: the schedules show nothing")
	}
}

// TestTortureStores runs random schedules of clusters with a storage witness.
func TestTortureStores(t *testing.T) {
	for seed := uint64(1); seed <= uint64(rounds(120)); seed++ {
		if _, err := Torture(RandomStored(seed)); err != nil {
			t.Errorf("seed %d: %v\n  replay: go run ./internal/lab/sim -stores -seeds 1 -seed %d", seed, err, seed)
		}
	}
}

// TestSeeds replays what failed once.
func TestSeeds(t *testing.T) {
	f, err := os.Open("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		torture(t, seed)
	}
}

func torture(t *testing.T, seed uint64) Report {
	t.Helper()
	r, err := Torture(Random(seed))
	if err != nil {
		t.Errorf("seed %d: %v\n  replay: go run ./internal/lab/sim -seeds 1 -seed %d", seed, err, seed)
	}
	return r
}

// TestSameSeedSameStory: a failure can be replayed.
func TestSameSeedSameStory(t *testing.T) {
	tell := func(seed uint64) string {
		var b strings.Builder
		cfg := Random(seed)
		cfg.Tell = func(at time.Duration, line string) { b.WriteString(at.String() + " " + line + "\n") }
		if _, err := Torture(cfg); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for seed := range uint64(rounds(10)) {
		if one, two := tell(seed), tell(seed); one != two {
			t.Fatalf("seed %d told two stories:\n%s\n%s", seed, one, two)
		}
	}
}
