package ocf

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// metadataMax bounds the meta-data of an agent (bytes); the largest known
	// one has 40 KiB.
	metadataMax = 512 << 10
	// parametersMax bounds its parameters; the most known are 90.
	parametersMax = 500
	// textMax bounds each text in it (bytes).
	textMax = 4 << 10
)

// Metadata is what an agent says about itself.
// Source: Open Cluster Framework Resource Agent API 1.1, section 5.
type Metadata struct {
	Name       string
	Version    string
	Short      string
	Long       string
	Parameters []Parameter
	Actions    []Action
}

// Parameter is one of an agent's settings.
type Parameter struct {
	Name             string
	Short, Long      string
	Type, Default    string
	Options          []string // of type select
	Required, Unique bool
}

// Action is something that an agent does, with the times that it advises; zero:
// it says nothing.
type Action struct {
	Name              string
	Timeout, Interval time.Duration
	Depth             int
	Role              string
}

// Has reports whether the agent has an action.
func (m *Metadata) Has(action string) bool {
	for _, a := range m.Actions {
		if a.Name == action {
			return true
		}
	}
	return false
}

type xmlText struct {
	Lang string `xml:"lang,attr"`
	Text string `xml:",chardata"`
}

type xmlAgent struct {
	XMLName    xml.Name  `xml:"resource-agent"`
	Name       string    `xml:"name,attr"`
	Version    string    `xml:"version,attr"`
	Long       []xmlText `xml:"longdesc"`
	Short      []xmlText `xml:"shortdesc"`
	Parameters []struct {
		Name     string    `xml:"name,attr"`
		Required string    `xml:"required,attr"`
		Unique   string    `xml:"unique,attr"`
		Long     []xmlText `xml:"longdesc"`
		Short    []xmlText `xml:"shortdesc"`
		Content  struct {
			Type    string `xml:"type,attr"`
			Default string `xml:"default,attr"`
			Options []struct {
				Value string `xml:"value,attr"`
			} `xml:"option"`
		} `xml:"content"`
	} `xml:"parameters>parameter"`
	Actions []struct {
		Name     string `xml:"name,attr"`
		Timeout  string `xml:"timeout,attr"`
		Interval string `xml:"interval,attr"`
		Depth    string `xml:"depth,attr"`
		Role     string `xml:"role,attr"`
	} `xml:"actions>action"`
}

// ParseMetadata reads the meta-data of an agent. What is around the XML is
// skipped: agents print warnings. It never returns more than the bounds above.
func ParseMetadata(text string) (*Metadata, error) {
	if len(text) > metadataMax {
		return nil, fmt.Errorf("it has more than %d bytes", metadataMax)
	}
	from, to := strings.Index(text, "<resource-agent"), strings.LastIndex(text, "</resource-agent>")
	if from < 0 || to < from {
		return nil, errors.New("there is no <resource-agent> in it")
	}
	var x xmlAgent
	d := xml.NewDecoder(strings.NewReader(text[from : to+len("</resource-agent>")]))
	d.Strict = false
	d.Entity = xml.HTMLEntity
	if err := d.Decode(&x); err != nil {
		return nil, fmt.Errorf("read the XML: %w", err)
	}
	if len(x.Parameters) > parametersMax || len(x.Actions) > parametersMax {
		return nil, fmt.Errorf("it has more than %d parameters or actions", parametersMax)
	}
	m := &Metadata{Name: line(x.Name), Version: line(x.Version), Short: pick(x.Short), Long: pick(x.Long)}
	seen := map[string]bool{}
	for _, p := range x.Parameters {
		if !validParameter(p.Name) || seen[p.Name] {
			continue // can't be given in the environment
		}
		seen[p.Name] = true
		one := Parameter{Name: p.Name, Short: pick(p.Short), Long: pick(p.Long), Type: strings.ToLower(line(p.Content.Type)),
			Default: p.Content.Default, Required: truth(p.Required), Unique: truth(p.Unique)}
		for _, o := range p.Content.Options {
			one.Options = append(one.Options, line(o.Value))
		}
		m.Parameters = append(m.Parameters, one)
	}
	for _, a := range x.Actions {
		depth, _ := strconv.Atoi(a.Depth)
		m.Actions = append(m.Actions, Action{line(a.Name), parseTime(a.Timeout), parseTime(a.Interval), max(depth, 0), line(a.Role)})
	}
	if len(m.Actions) == 0 {
		return nil, errors.New("it names no actions")
	}
	return m, nil
}

// validParameter reports whether a name can be part of an environment variable.
func validParameter(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r > 127 || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
}

func truth(s string) bool {
	return s == "1" || strings.EqualFold(s, "true") || strings.EqualFold(s, "yes")
}

// pick chooses the English text, or the first.
func pick(all []xmlText) string {
	for _, t := range all {
		if t.Lang == "" || strings.HasPrefix(t.Lang, "en") {
			return line(t.Text)
		}
	}
	if len(all) > 0 {
		return line(all[0].Text)
	}
	return ""
}

// line is a text in one line, cut to its bound.
func line(s string) string {
	if len(s) > textMax {
		s = s[:textMax]
	}
	s = strings.ToValidUTF8(s, "?")
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// parseTime reads the times of agents: seconds, or a number with a unit.
func parseTime(s string) time.Duration {
	s = strings.TrimSpace(s)
	n := strings.TrimRightFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	v, err := strconv.ParseInt(n, 10, 32)
	if err != nil || v < 0 {
		return 0
	}
	switch strings.ToLower(strings.TrimSpace(s[len(n):])) {
	case "", "s", "sec":
		return time.Duration(v) * time.Second
	case "ms", "msec":
		return time.Duration(v) * time.Millisecond
	case "m", "min":
		return time.Duration(v) * time.Minute
	case "h", "hr":
		return time.Duration(v) * time.Hour
	}
	return 0
}
