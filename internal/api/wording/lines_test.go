package wording

import (
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestBreak(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 20, ""},
		{"one two three", 20, "one two three"},
		{"one two three four", 10, "one two|three four"},
		{"abcdefghijklmnop", 10, "abcdefghij|klmnop"},
		{"in 01234567890123 x", 10, "in|0123456789|0123 x"},
		{"ノードが停止、フリーズ", 14, "ノードが停止、|フリーズ"},
		{"ノードが停止。", 12, "ノードが停|止。"}, // no line begins with a full stop
		{"closes after 2.25 s; then", 18, "closes after|2.25 s; then"},
		{"closes after 2.25 steps", 18, "closes after 2.25|steps"},
		{"リソース web を", 12, "リソース web|を"},
	} {
		got := Break(tt.text, tt.width)
		if strings.Join(got, "|") != tt.want {
			t.Errorf("%q in %d: %q, want %q", tt.text, tt.width, strings.Join(got, "|"), tt.want)
		}
		for _, l := range got {
			if message.Width(l) > tt.width {
				t.Errorf("%q in %d: the line %q is too wide", tt.text, tt.width, l)
			}
		}
	}
}

// FuzzBreak: whatever the text, lines keep their width and lose nothing but
// blanks.
func FuzzBreak(f *testing.F) {
	f.Add("one two three", 10)
	f.Add("ノードが停止、フリーズ x", 11)
	f.Fuzz(func(t *testing.T, text string, width int) {
		if width < 10 || width > 200 || len(text) > 2000 {
			return
		}
		lines := Break(text, width)
		plain := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if plain(strings.Join(lines, "")) != plain(string([]rune(text))) {
			t.Errorf("%q in %d: %q", text, width, lines)
		}
	})
}

func TestPadAndCut(t *testing.T) {
	if got := Pad("停止", 6); got != "停止  " {
		t.Errorf("pad: %q", got)
	}
	if got := Cut("停止処理中", 7); message.Width(got) > 7 || !strings.HasSuffix(got, "…") {
		t.Errorf("cut: %q", got)
	}
	if got := Cut("short", 7); got != "short" {
		t.Errorf("cut: %q", got)
	}
}

// TestVocabularyIsComplete: each value has a Japanese word.
func TestVocabularyIsComplete(t *testing.T) {
	for _, v := range []string{
		string(cluster.OutOfService), string(cluster.Starting), string(cluster.InService), string(cluster.Degraded),
		string(cluster.Stopping), string(cluster.Failed), string(cluster.Unknown),
		string(cluster.Joining), string(cluster.Present), string(cluster.Left), string(cluster.Unmanaged), string(cluster.Evicted),
		string(cluster.RoleNode), string(cluster.RoleWitness),
		string(cluster.SelfGuarding), string(cluster.SharedData), string(cluster.WatchdogOnly), string(cluster.Unfenced),
		string(cluster.KindClusterCreated), string(cluster.KindNodeAdded), string(cluster.KindNodeRemoved), string(cluster.KindVoter),
		string(cluster.KindAdmitted), string(cluster.KindEvicted), string(cluster.KindLeft), string(cluster.KindUnmanaged),
		string(cluster.KindManaged), string(cluster.KindFenced), string(cluster.KindDetection), string(cluster.KindAssigned),
		string(cluster.KindStatus), string(cluster.KindRetry), string(cluster.KindMove), string(cluster.KindMoveCancelled),
		string(cluster.KindWant), string(cluster.KindCleared), string(cluster.KindConfigured), string(cluster.KindLocalRecovery),
		string(cluster.KindResourceFailed), string(cluster.KindPath), string(cluster.KindLease), string(cluster.KindSilence),
		string(cluster.KindDaemonRestarted),
	} {
		if Word(message.English, v) != v || Word(message.Japanese, v) == v {
			t.Errorf("%q: %q, %q", v, Word(message.English, v), Word(message.Japanese, v))
		}
	}
}
