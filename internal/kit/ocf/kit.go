package ocf

import (
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit stands for all agents of this node.
type Kit struct {
	// Root is where the agents are; empty: [DefaultRoot].
	Root string
}

var (
	_ kit.Kit             = Kit{}
	_ kit.Family          = Kit{}
	_ kit.Kit             = agentKit{}
	_ kit.Claimer         = agentKit{}
	_ kit.SettingsChecker = agentKit{}
	_ kit.Resource        = (*Agent)(nil)
	_ kit.Validator       = (*Agent)(nil)
	_ kit.Guarded         = (*Agent)(nil)
	_ kit.Standby         = (*Agent)(nil)
	_ kit.Adopter         = (*Agent)(nil)
)

func (k Kit) root() string {
	if k.Root != "" {
		return k.Root
	}
	return DefaultRoot
}

// Name implements [kit.Kit].
func (Kit) Name() string { return "ocf" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "any OCF agent that is installed on the nodes, as kit ocf:PROVIDER:AGENT; its own parameters come from the agent (perdure kit show)",
		JA: "各ノードにインストールされた OCF エージェント。キット名は ocf:PROVIDER:AGENT。パラメーターはエージェントが定義する (perdure kit show)"}
}

const (
	roleStarted  = "started"
	rolePromoted = "promoted"
)

// Settings implements [kit.Kit]: what every agent has beside its own.
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "ocf.role", Type: kit.Enum, Default: roleStarted, Values: []string{roleStarted, rolePromoted}, Example: rolePromoted,
			Help: kit.Text{EN: "the role in which it is in service; promoted: the agent is promoted after its start and demoted before its stop", JA: "稼働時の役割。promoted の場合は起動後に昇格、停止前に降格させる"}},
		{Name: "ocf.level", Type: kit.Int, Default: "0", Min: "0", Max: "100", Example: "10",
			Help: kit.Text{EN: "OCF_CHECK_LEVEL of deep checks; 0: they are as light ones. The levels that an agent has, and what each needs, are in its description", JA: "詳細な監視の OCF_CHECK_LEVEL。0 の場合は軽い監視と同じ。使用できる値はエージェントの説明を参照"}},
	}
}

// New implements [kit.Kit]: an agent must be named.
func (Kit) New(kit.Instance) (kit.Resource, error) {
	return nil, message.New(message.OCFNoAgent, "ocf", "ocf:PROVIDER:AGENT")
}

// Members implements [kit.Family], without running anything.
func (k Kit) Members() []kit.Kit {
	var out []kit.Kit
	if runtime.GOOS != "linux" {
		return nil
	}
	for _, n := range installed(k.root()) {
		out = append(out, agentKit{name: n, root: k.root(), meta: &Metadata{Short: headline(n.path(k.root()))}})
	}
	return out
}

// Member implements [kit.Family]: it asks the agent for its meta-data.
func (k Kit) Member(s string) (kit.Kit, error) {
	n, ok := splitName(s)
	if !ok || runtime.GOOS != "linux" {
		return nil, message.New(message.OCFNoAgent, s, "ocf:PROVIDER:AGENT")
	}
	m, err := describe(k.root(), n)
	if err != nil {
		return nil, err
	}
	return agentKit{n, k.root(), m}, nil
}

// agentKit is one agent as a kit.
type agentKit struct {
	name name
	root string
	meta *Metadata
}

// Name implements [kit.Kit].
func (k agentKit) Name() string { return k.name.String() }

// About implements [kit.Kit]: agents speak one language.
func (k agentKit) About() kit.Text { return kit.Text{EN: k.meta.Short, JA: k.meta.Short} }

// Settings implements [kit.Kit]: the agent's own, and times as it advises.
func (k agentKit) Settings() []kit.Setting {
	var out []kit.Setting
	for _, p := range k.meta.Parameters {
		out = append(out, setting(p))
	}
	out = append(out, Kit{}.Settings()...)
	return append(out, k.times()...)
}

// setting declares a parameter. What an agent declares can't be relied on: a
// default that is not of its own type makes it a text.
func setting(p Parameter) kit.Setting {
	help := p.Long
	if help == "" {
		help = p.Short
	}
	s := kit.Setting{Name: p.Name, Type: kit.String, Required: p.Required && p.Default == "", Default: p.Default, Help: kit.Text{EN: help, JA: help}}
	if s.Default != line(s.Default) {
		s.Default = "" // of several lines: the agent has it itself
	}
	switch p.Type {
	case "boolean", "bool":
		if s.Default == "" || kit.IsBool(s.Default) {
			s.Type = kit.Bool
		}
	case "select", "enum":
		if len(p.Options) > 1 && (s.Default == "" || slices.Contains(p.Options, s.Default)) {
			s.Type, s.Values = kit.Enum, p.Options
		}
	}
	return s
}

// times are the common settings with what the agent advises as their defaults.
func (k agentKit) times() []kit.Setting {
	advised := map[string]time.Duration{}
	put := func(name string, d time.Duration) {
		if d > advised[name] {
			advised[name] = d
		}
	}
	for _, a := range k.meta.Actions {
		switch a.Name {
		case "start", "promote":
			put("start.timeout", a.Timeout)
		case "stop", "demote":
			put("stop.timeout", a.Timeout)
		case "monitor":
			which := "check"
			if a.Depth > 0 {
				which = "deep"
			}
			put(which+".timeout", a.Timeout)
			put(which+".interval", a.Interval)
		}
	}
	if k.level() == 0 {
		advised["deep.interval"] = -1 // none: it would be the same again
	}
	var out []kit.Setting
	for _, s := range kit.Common() {
		d, ok := advised[s.Name]
		if !ok {
			continue
		}
		low, _ := time.ParseDuration(s.Min)
		high, _ := time.ParseDuration(s.Max)
		s.Default = max(low, min(d, high)).String()
		out = append(out, s)
	}
	return out
}

// level is the deepest check that the agent declares.
func (k agentKit) level() int {
	level := 0
	for _, a := range k.meta.Actions {
		if a.Name == "monitor" {
			level = max(level, a.Depth)
		}
	}
	return level
}

// CheckSettings implements [kit.SettingsChecker].
func (k agentKit) CheckSettings(v kit.Values) error {
	if v.String("ocf.role") == rolePromoted && !(k.meta.Has("promote") && k.meta.Has("demote")) {
		return message.New(message.OCFNoPromotion, k.Name())
	}
	return nil
}

// Claims implements [kit.Claimer]: an address is one resource's, whichever kit
// it has, and so is what the agent declares unique.
func (k agentKit) Claims(v kit.Values) []string {
	var out []string
	for _, p := range k.meta.Parameters {
		text := v.Text(p.Name)
		if text == "" || text == p.Default {
			continue
		}
		if addr, ok := k.address(p.Name, text); ok {
			out = append(out, "address "+addr.String())
		} else if p.Unique {
			out = append(out, k.Name()+" "+p.Name+"="+text)
		}
	}
	return out
}

// addressParameters are the agents that bring an address in service, with the
// parameter that holds it: the guardian must be able to silence it.
var addressParameters = map[string]string{"IPaddr2": "ip", "IPaddr": "ip", "IPv6addr": "ipv6addr"}

func (k agentKit) address(parameter, text string) (netip.Addr, bool) {
	if addressParameters[k.name.agent] != parameter {
		return netip.Addr{}, false
	}
	text, _, _ = strings.Cut(text, "/")
	a, err := netip.ParseAddr(text)
	return a.Unmap(), err == nil
}

// New implements [kit.Kit].
func (k agentKit) New(in kit.Instance) (kit.Resource, error) {
	return &Agent{in: in, kit: k, path: k.name.path(k.root), shared: filepath.Join(in.RunDir, "..", "..", "..", "ocf")}, nil
}
