package ocf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestParseMetadata(t *testing.T) {
	m, err := ParseMetadata(fakeMetadataText)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "fake" || m.Short != "A fake" || m.Long != "Long & more" || len(m.Parameters) != 4 {
		t.Errorf("%+v", m)
	}
	k := agentKit{name{"test", "fake"}, "/x", m}
	v, err := kit.Parse(k, map[string]string{"text": "a", "flag": "yes"})
	if err != nil {
		t.Fatal(err)
	}
	c := v.Common()
	for _, d := range []struct{ got, want time.Duration }{
		{c.StartTimeout, 40 * time.Second}, {c.StopTimeout, 100 * time.Second}, {c.CheckInterval, 10 * time.Second},
		{c.CheckTimeout, 20 * time.Second}, {c.DeepInterval, time.Minute}, {c.DeepTimeout, 30 * time.Second},
	} {
		if d.got != d.want {
			t.Errorf("time %v, want %v", d.got, d.want)
		}
	}
	for _, bad := range []struct{ name, value, code string }{
		{"text", "", message.SettingMissing}, {"choice", "c", message.SettingChoice}, {"texte", "x", message.SettingMisspelt},
	} {
		set := map[string]string{"text": "x"}
		set[bad.name] = bad.value
		if _, err := kit.Parse(k, set); !message.Has(err, bad.code) {
			t.Errorf("%s=%s: %v", bad.name, bad.value, err)
		}
	}
	if got := k.Claims(v); len(got) != 1 || got[0] != "ocf:test:fake text=a" {
		t.Errorf("claims %v", got)
	}
	m.Actions = m.Actions[:2]
	if _, err := kit.Parse(k, map[string]string{"text": "a", "ocf.role": "promoted"}); !message.Has(err, message.OCFNoPromotion) {
		t.Error(err)
	}
}

// The address is the same claim for this kit and for Perdure's own.
func TestAddressClaim(t *testing.T) {
	k := agentKit{name{"heartbeat", "IPaddr2"}, "/x", &Metadata{Parameters: []Parameter{{Name: "ip", Unique: true, Required: true}}}}
	v, err := kit.Parse(k, map[string]string{"ip": "2001:DB8::A"})
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Claims(v); len(got) != 1 || got[0] != "address 2001:db8::a" {
		t.Error(got)
	}
}

func TestBadMetadata(t *testing.T) {
	for _, bad := range []string{"", "hello", "</resource-agent><resource-agent", "<resource-agent name='x'></resource-agent>",
		"<resource-agent><actions><action name='start'</actions></resource-agent>", strings.Repeat("x", metadataMax+1),
		"<resource-agent><parameters>" + strings.Repeat("<parameter name='a'/>", parametersMax+1) + "</parameters><actions><action name='start'/></actions></resource-agent>"} {
		if m, err := ParseMetadata(bad); err == nil {
			t.Errorf("%.60q was taken: %+v", bad, m)
		}
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]time.Duration{"20": 20 * time.Second, "20s": 20 * time.Second, "500ms": 500 * time.Millisecond,
		"2min": 2 * time.Minute, "1h": time.Hour, "": 0, "x": 0, "-3s": 0, "99999999999s": 0, "5 parsecs": 0} {
		if got := parseTime(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Whatever an agent prints, nothing panics, the bounds hold, and a resource of
// it can be parsed or is refused in words.
func FuzzParseMetadata(f *testing.F) {
	f.Add(fakeMetadataText)
	f.Add("<resource-agent><actions><action name='monitor' timeout='9999999999' depth='-1'/></actions></resource-agent>")
	files, _ := filepath.Glob("testdata/*.xml")
	for _, p := range files {
		if b, err := os.ReadFile(p); err == nil {
			f.Add(string(b))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMetadata(text)
		if err != nil {
			return
		}
		if len(m.Parameters) > parametersMax || len(m.Long) > textMax {
			t.Fatal("a bound doesn't hold")
		}
		k := agentKit{name{"a", "b"}, "/x", m}
		if v, err := kit.Parse(k, given(k)); err == nil {
			k.Claims(v)
			if c := v.Common(); c.StartTimeout <= 0 || c.StopTimeout <= 0 || c.CheckInterval <= 0 {
				t.Fatalf("times %+v", c)
			}
		}
	})
}

const fakeMetadataText = `warning: something is old
<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="fake" version="1.0"><longdesc lang="en">Long &amp; more</longdesc><shortdesc lang="en">A fake</shortdesc>
<parameters>
<parameter name="text" unique="1" required="1"><longdesc lang="en">Some text</longdesc><content type="string"/></parameter>
<parameter name="number"><shortdesc lang="en">A number</shortdesc><content type="integer" default="3"/></parameter>
<parameter name="flag"><content type="boolean" default="maybe"/></parameter>
<parameter name="choice"><content type="select" default="a"><option value="a"/><option value="b"/></content></parameter>
<parameter name="not good"><content type="string"/></parameter>
</parameters>
<actions><action name="start" timeout="40"/><action name="stop" timeout="100s"/><action name="promote" timeout="20s"/><action name="demote" timeout="20s"/>
<action name="monitor" timeout="20s" interval="10s" depth="0"/><action name="monitor" timeout="30s" interval="60s" depth="10"/><action name="validate-all" timeout="20s"/></actions>
</resource-agent>
and after`

// given is a value for each parameter that has no default and needs one.
func given(k kit.Kit) map[string]string {
	m := map[string]string{}
	for _, s := range k.Settings() {
		if s.Required {
			m[s.Name] = "1"
		}
	}
	return m
}
