package ocf

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// DefaultRoot is where distributions put agents.
const DefaultRoot = "/usr/lib/ocf"

// metadataTimeout bounds how long an agent may take to describe itself.
const metadataTimeout = 10 * time.Second

// name is provider and agent.
type name struct{ provider, agent string }

func (n name) String() string { return "ocf:" + n.provider + ":" + n.agent }

func (n name) path(root string) string {
	return filepath.Join(root, "resource.d", n.provider, n.agent)
}

var word = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$`)

// splitName reads ocf:PROVIDER:AGENT, or ocf:AGENT of the provider heartbeat.
func splitName(s string) (name, bool) {
	parts := strings.Split(s, ":")
	if len(parts) == 2 {
		parts = []string{parts[0], "heartbeat", parts[1]}
	}
	if len(parts) != 3 || parts[0] != "ocf" || !word.MatchString(parts[1]) || !word.MatchString(parts[2]) {
		return name{}, false
	}
	return name{parts[1], parts[2]}, true
}

// installed lists the agents below root.
func installed(root string) []name {
	var all []name
	providers, _ := os.ReadDir(filepath.Join(root, "resource.d"))
	for _, p := range providers {
		agents, _ := os.ReadDir(filepath.Join(root, "resource.d", p.Name()))
		for _, a := range agents {
			n := name{p.Name(), a.Name()}
			st, err := os.Stat(n.path(root))
			if err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 && word.MatchString(n.provider) && word.MatchString(n.agent) {
				all = append(all, n)
			}
		}
	}
	slices.SortFunc(all, func(a, b name) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// described keeps what agents said, as long as their files don't change.
var described = struct {
	sync.Mutex
	m map[string]description
}{m: map[string]description{}}

type description struct {
	modified time.Time
	size     int64
	meta     *Metadata
}

// describe asks an agent for its meta-data, once for each version of its file.
func describe(root string, n name) (*Metadata, error) {
	path := n.path(root)
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, message.New(message.OCFNoAgent, n.String(), path)
	}
	if err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return nil, message.New(message.NotExecutable, path, "it is no executable file")
	}
	described.Lock()
	d, known := described.m[path]
	described.Unlock()
	if known && d.modified.Equal(st.ModTime()) && d.size == st.Size() {
		return d.meta, nil
	}
	m, err := ask(root, path)
	if err != nil {
		return nil, message.New(message.OCFMetadata, n.String(), err.Error(), path).Wrap(err)
	}
	described.Lock()
	described.m[path] = description{st.ModTime(), st.Size(), m}
	described.Unlock()
	return m, nil
}

func ask(root, path string) (*Metadata, error) {
	dir, err := os.MkdirTemp("", "perdure-ocf-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r, err := kit.Exec{Dir: dir}.Run(context.Background(), kit.Command{Action: "meta-data", Argv: []string{path, "meta-data"},
		Env: []string{"OCF_ROOT=" + root, "OCF_RA_VERSION_MAJOR=1", "OCF_RA_VERSION_MINOR=1"}, Timeout: metadataTimeout, Capture: metadataMax})
	if err != nil {
		return nil, err
	}
	if r.ExitCode != 0 {
		return nil, r.Failed()
	}
	return ParseMetadata(r.Output)
}

var shortText = regexp.MustCompile(`(?s)<shortdesc[^>]*>([^<$]{1,300})</shortdesc>`)

// headline is the short description in an agent's file, found without running
// it: a hundred agents would take seconds. Empty if it is put together at run
// time.
func headline(path string) string {
	b, err := os.ReadFile(path)
	if err != nil || len(b) > 1<<20 {
		return ""
	}
	text := string(b)
	if i := strings.Index(text, "<parameters"); i > 0 {
		text = text[:i]
	}
	found := shortText.FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return line(found[1])
}
