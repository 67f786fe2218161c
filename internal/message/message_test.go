package message

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"
)

func TestErrorSaysTextAndCode(t *testing.T) {
	err := New(NoQuorum, 1, 3, 2)
	if got, want := err.Error(), "no quorum: 1 of 3 voters answer, 2 are needed (PD1101)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	deep := fmt.Errorf("start web: %w", err.Wrap(fs.ErrPermission))
	if !errors.Is(deep, fs.ErrPermission) {
		t.Error("what Wrap put underneath is not found by errors.Is")
	}
	if err.Unwrap() != nil {
		t.Error("Wrap changed the original")
	}
	if !errors.Is(deep, New(NoQuorum)) || errors.Is(deep, New(ReasonNoLeader)) {
		t.Error("errors.Is must compare codes")
	}
	if !Has(fmt.Errorf("x: %w", New(ReasonNoLeader).Wrap(deep)), NoQuorum) || Has(deep, ReasonNoLeader) || Has(nil, ReasonNoLeader) {
		t.Error("Has must find a code anywhere in the chain")
	}
	found, ok := From(deep)
	if !ok || found.Code() != NoQuorum || len(found.Args()) != 3 {
		t.Errorf("From: got %v, %v", found, ok)
	}
	if _, ok := From(fs.ErrClosed); ok {
		t.Error("From found a message where there is none")
	}
}

func TestLocalize(t *testing.T) {
	m := New(RefusedNameTaken, "alpha").Localize(Japanese)
	if m.Code != "PD1003" || !strings.Contains(m.Text, "ノード名 alpha") {
		t.Errorf("got %+v", m)
	}
	if !strings.Contains(m.Next, "perdure node remove alpha") {
		t.Errorf("next: %q", m.Next)
	}
}

func TestUnknownCodePrintsItself(t *testing.T) {
	for _, tt := range []struct {
		args []any
		want string
	}{
		{nil, "PD0000"},
		{[]any{"a", 2 * time.Second}, "PD0000: a, 2 s"},
	} {
		if got := Text(Japanese, "PD0000", tt.args...); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestReasonKeepsItsMeaning(t *testing.T) {
	r := NewReason(LeaseRegained, "beta", 2500*time.Millisecond)
	if got, want := r.Text(English), New(LeaseRegained, "beta", "2.5 s").Localize(English).Text; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := r.Text(Japanese); !strings.Contains(got, "ノード beta") || !strings.Contains(got, "2.5 s") {
		t.Errorf("got %q", got)
	}
	nested := NewReason(AlarmDisk, New(ReasonNoLeader))
	if got := nested.Text(Japanese); !strings.Contains(got, "リーダーがいません") {
		t.Errorf("a message in a message is not said in the reader's language: %q", got)
	}
	if got := (Reason{}).Text(English); got != "" {
		t.Errorf("no reason must be empty, got %q", got)
	}
}

func TestArguments(t *testing.T) {
	zone := time.FixedZone("JST", 9*3600)
	for _, tt := range []struct {
		arg  any
		want string
	}{
		{0 * time.Second, "0 s"},
		{350 * time.Millisecond, "350 ms"},
		{1500 * time.Microsecond, "1.5 ms"},
		{2500 * time.Millisecond, "2.5 s"},
		{200 * time.Second, "3 min 20 s"},
		{2 * time.Hour, "2 h"},
		{50 * time.Hour, "2 d 2 h"},
		{-time.Second, "-1 s"},
		{time.Duration(-1 << 63), "-106751 d 23 h"},
		{time.Date(2026, 3, 4, 5, 6, 7, 0, zone), "2026-03-04 05:06:07 +0900"},
		{time.Time{}, "-"},
		{nil, "-"},
		{[]string{"a", "b"}, "a, b"},
		{fs.ErrExist, "file already exists"},
		{"line one\nline two\r\n", "line one line two"},
		{"\x1b[2Jgone", `\x1b[2Jgone`},
		{"left\u202eright", `left\u202eright`},
		{"a\xffb", "a\ufffdb"},
		{strings.Repeat("字", 1000), strings.Repeat("字", 600) + "…"},
		{New(ReasonNoLeader), "the cluster has no leader at the moment"},
		{NewReason(ReasonNoLeader), "the cluster has no leader at the moment"},
		{7, "7"},
	} {
		if got := format(English, tt.arg); got != tt.want {
			t.Errorf("%#v: got %q, want %q", tt.arg, got, tt.want)
		}
	}
}

func TestMissingArgumentIsNoPanic(t *testing.T) {
	if got := fill(English, "{0} and {1} and {99}", []any{"a"}); got != "a and {1} and {99}" {
		t.Errorf("got %q", got)
	}
}

func TestLanguage(t *testing.T) {
	for _, tt := range []struct {
		flag string
		env  map[string]string
		want string
	}{
		{"", nil, "en"},
		{"ja", map[string]string{"PERDURE_LANG": "en"}, "ja"},
		{"en", map[string]string{"LANG": "ja_JP.UTF-8"}, "en"},
		{"", map[string]string{"PERDURE_LANG": "ja", "LC_ALL": "C"}, "ja"},
		{"", map[string]string{"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, "en"},
		{"", map[string]string{"LC_MESSAGES": "ja_JP.eucJP", "LANG": "de_DE"}, "ja"},
		{"", map[string]string{"LANG": "ja_JP.UTF-8"}, "ja"},
		{"", map[string]string{"LANG": "Japanese_Japan.932"}, "ja"},
		{"", map[string]string{"LANG": "jam"}, "en"},
	} {
		if got := Language(tt.flag, func(k string) string { return tt.env[k] }); got != tt.want {
			t.Errorf("flag %q, %v: got %q, want %q", tt.flag, tt.env, got, tt.want)
		}
	}
}
