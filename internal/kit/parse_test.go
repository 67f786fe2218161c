package kit_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// sample declares a setting of each type.
type sample struct{}

func (sample) Name() string                           { return "sample" }
func (sample) About() kit.Text                        { return kit.Text{EN: "a sample", JA: "例"} }
func (sample) New(kit.Instance) (kit.Resource, error) { return nil, errors.New("none") }
func (sample) Claims(v kit.Values) []string           { return []string{"text " + v.String("text")} }
func (sample) CheckSettings(v kit.Values) error {
	if v.Int("count") == 13 {
		return message.New(message.SettingsContradict, "sample", "count=13", "luck")
	}
	return nil
}
func (sample) Settings() []kit.Setting {
	h := kit.Text{EN: "x", JA: "x"}
	return []kit.Setting{
		{Name: "text", Type: kit.String, Required: true, Help: h, Example: "x"},
		{Name: "wait", Type: kit.Duration, Default: "1s", Min: "10ms", Max: "1m", Help: h, Example: "2s"},
		{Name: "count", Type: kit.Int, Default: "3", Min: "1", Max: "20", Help: h, Example: "5"},
		{Name: "flag", Type: kit.Bool, Default: "no", Help: h, Example: "yes"},
		{Name: "address", Type: kit.Address, Help: h, Example: "192.0.2.1"},
		{Name: "prefix", Type: kit.Prefix, Help: h, Example: "192.0.2.1/24"},
		{Name: "list", Type: kit.List, Help: h, Example: "a,b"},
		{Name: "command", Type: kit.CommandLine, Help: h, Example: "/bin/x y"},
		{Name: "env", Type: kit.Pairs, Help: h, Example: "A=1"},
		{Name: "url", Type: kit.URL, Help: h, Example: "http://x/"},
		{Name: "port", Type: kit.HostPort, Help: h, Example: "127.0.0.1:80"},
		{Name: "choice", Type: kit.Enum, Values: []string{"red", "green"}, Default: "red", Help: h, Example: "green"},
		{Name: "stop.timeout", Type: kit.Duration, Default: "7s", Min: "1s", Max: "1m", Help: h, Example: "5s"},
	}
}

func TestValues(t *testing.T) {
	v, err := kit.Parse(sample{}, map[string]string{
		"text": "a b", "wait": "1m", "count": "20", "flag": "ON", "address": "::ffff:192.0.2.1", "prefix": "2001:db8::1/64",
		"list": "a, b,,c", "command": `/bin/x "a b" c\ d`, "env": `A=1 "B=x y"`, "url": "https://x:8443/y?z", "port": "[::1]:80", "choice": "green",
		"recovery.max": "0", "deep.interval": "0s",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"a b":                v.String("text"),
		"1m0s":               v.Duration("wait").String(),
		"20":                 fmt.Sprint(v.Int("count")),
		"true":               fmt.Sprint(v.Bool("flag")),
		"192.0.2.1":          v.Address("address").String(),
		"2001:db8::1/64":     v.Prefix("prefix").String(),
		"a|b|c":              strings.Join(v.List("list"), "|"),
		"/bin/x|a b|c d":     strings.Join(v.List("command"), "|"),
		"A=1|B=x y":          strings.Join(v.List("env"), "|"),
		"https://x:8443/y?z": v.URL("url").String(),
		"[::1]:80":           v.String("port"),
		"green":              v.Text("choice"),
	} {
		if got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
	c := v.Common()
	if c.RecoveryMax != -1 || c.DeepInterval != -1 || c.StopTimeout != 7*time.Second || c.CheckInterval != time.Second {
		t.Errorf("%+v", c)
	}
	if v.Has("url") != true || !slices.Contains(v.Names(), "stop.timeout") {
		t.Error(v.Names())
	}
	few, err := kit.Parse(sample{}, map[string]string{"text": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if few.Has("url") || few.URL("url") != nil || few.Address("address").IsValid() || few.List("list") != nil || few.Prefix("prefix") != (netip.Prefix{}) {
		t.Error("a setting that was not given has a value")
	}
}

// Every message names kit, setting, value and what would be right.
func TestWrongSettings(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct{ name, value, code, says string }{
		{"txt", "x", message.SettingMisspelt, "did you mean text?"},
		{"adress", "x", message.SettingMisspelt, "did you mean address?"},
		{"checkinterval", "1s", message.SettingMisspelt, "did you mean check.interval?"},
		{"colour", "x", message.UnknownSetting, "check.interval, check.timeout, choice"},
		{long, "x", message.UnknownSetting, "check.interval"},
		{"wait", "5", message.SettingDuration, "wait=5 of kit sample is not valid: a duration from 10ms to 1m"},
		{"wait", "9ms", message.SettingDuration, "from 10ms to 1m"},
		{"wait", "61s", message.SettingDuration, "from 10ms to 1m"},
		{"wait", "-1s", message.SettingDuration, ""},
		{"count", "0", message.SettingNumber, "a whole number from 1 to 20"},
		{"count", "1.5", message.SettingNumber, ""},
		{"count", "99999999999999999999", message.SettingNumber, ""},
		{"flag", "perhaps", message.SettingSwitch, "yes or no"},
		{"address", "host", message.SettingAddress, "such as 192.0.2.1"},
		{"address", "fe80::1%eth0", message.SettingAddress, ""},
		{"prefix", "192.0.2.1/33", message.SettingAddress, ""},
		{"command", `"x`, message.SettingCommand, "such as /bin/x y"},
		{"command", `""`, message.SettingCommand, ""},
		{"command", `x \`, message.SettingCommand, ""},
		{"env", "A", message.SettingPairs, "NAME=value"},
		{"env", "=1", message.SettingPairs, ""},
		{"url", "ftp://x/", message.SettingURL, "http or https"},
		{"url", "x", message.SettingURL, ""},
		{"port", "127.0.0.1", message.SettingHostPort, "such as 127.0.0.1:80"},
		{"port", "127.0.0.1:0", message.SettingHostPort, ""},
		{"port", ":80", message.SettingHostPort, ""},
		{"choice", "blue", message.SettingChoice, "choose one of red, green"},
		{"text", "a\nb", message.SettingText, "one line"},
		{"text", long, message.SettingText, "4096"},
		{"text", "", message.SettingMissing, "needs the setting text"},
		{"count", "13", message.SettingsContradict, "luck"},
	} {
		settings := map[string]string{"text": "x"}
		settings[c.name] = c.value
		_, err := kit.Parse(sample{}, settings)
		e, ok := message.From(err)
		if !ok || e.Code() != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s=%s: %v, want %s saying %q", c.name, c.value, err, c.code, c.says)
		}
	}
	_, err := kit.Parse(sample{}, map[string]string{"wait": "x", "count": "y", "cuont": "1"})
	for _, want := range []string{message.SettingMissing, message.SettingDuration, message.SettingNumber, message.SettingMisspelt} {
		if !errors.Is(err, message.New(want)) {
			t.Errorf("not all faults at once: %v", err)
		}
	}
}

func TestUndeclaredSettingPanics(t *testing.T) {
	v, err := kit.Parse(sample{}, map[string]string{"text": "x"})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"undeclared": func() { v.String("nothing") },
		"other type": func() { v.Int("text") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
		bad  bool
	}{
		{`a b  c`, []string{"a", "b", "c"}, false},
		{`  `, nil, false},
		{`a "b c" 'd "e'`, []string{"a", "b c", `d "e`}, false},
		{`a"b"'c'`, []string{"abc"}, false},
		{`"" ''`, []string{"", ""}, false},
		{`"a \" b \\ c"`, []string{`a " b \ c`}, false},
		{`'a \ b'`, []string{`a \ b`}, false},
		{`C:\Program\x.exe "C:\Program Files\y.exe"`, []string{`C:\Program\x.exe`, `C:\Program Files\y.exe`}, false},
		{`a\ b \"c\" \'`, []string{"a b", `"c"`, "'"}, false},
		{`$HOME | > *`, []string{"$HOME", "|", ">", "*"}, false},
		{`"a`, nil, true},
		{`'a`, nil, true},
		{`a\`, nil, true},
	} {
		got, err := kit.SplitWords(c.line)
		if (err != nil) != c.bad || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.line, got, err, c.want)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add(`a "b c" 'd' e\ f`)
	f.Add(`C:\x "\"" ''`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := kit.SplitWords(line)
		if err != nil {
			return
		}
		again, err := kit.SplitWords(kit.JoinWords(words))
		if err != nil || !slices.Equal(again, words) {
			t.Errorf("%q became %q by way of %s (%v)", words, again, kit.JoinWords(words), err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range (sample{}).Settings() {
		f.Add(s.Name, s.Example)
	}
	f.Add("wiat", "\x00")
	f.Fuzz(func(t *testing.T, name, value string) {
		v, err := kit.Parse(sample{}, map[string]string{"text": "x", name: value})
		if err == nil {
			v.Common()
		} else if _, ok := message.From(err); !ok {
			t.Errorf("not a message: %v", err)
		}
	})
}

func FuzzParseStatuses(f *testing.F) {
	f.Add("200,204-299")
	f.Add("-")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := kit.ParseStatuses(text)
		if err != nil {
			return
		}
		if again, err := kit.ParseStatuses(s.String()); err != nil || !slices.Equal(again, s) {
			t.Errorf("%v became %v (%v)", s, again, err)
		}
	})
}
