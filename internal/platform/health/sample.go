package health

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/perdure-ha/perdure/internal/platform/echo"
)

// Unknown is a share that could not be measured.
const Unknown = -1

// Vitals is what was measured at one moment. Shares are in percent.
type Vitals struct {
	CPU     float64   `json:"cpu"`    // busy since the last sample
	Memory  float64   `json:"memory"` // not available to programs
	Disks   []Disk    `json:"disks,omitempty"`
	Links   []Link    `json:"links,omitempty"`
	Gateway []Gateway `json:"gateway,omitempty"`
}

// Disk is the file system of a path.
type Disk struct {
	Path string  `json:"path"`
	Used float64 `json:"used"` // of the space, or of the files it can have, whichever is fuller
	// Silent reports whether the file system doesn't answer.
	Silent bool `json:"silent,omitempty"`
}

// Link is an interface with an address that programs use.
type Link struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
}

// Gateway is a default gateway.
type Gateway struct {
	Address netip.Addr `json:"address"`
	Answers bool       `json:"answers"`
}

const (
	// diskPatience is how long a file system may take to say how full it is.
	diskPatience = 2 * time.Second
	// gatewayPatience is how long a gateway may take to answer.
	gatewayPatience = time.Second
)

// Sampler measures. The zero value isn't ready; see [NewSampler].
type Sampler struct {
	disks []*disk
	busy  uint64
	total uint64
	stat  func(path string) (float64, error)
}

// disk is a path that is asked about; a question that hangs is not asked again.
type disk struct {
	path    string
	answers chan diskAnswer
	asked   bool
	last    float64
}

type diskAnswer struct {
	used float64
	err  error
}

// NewSampler looks at the file systems of these paths.
func NewSampler(paths ...string) *Sampler {
	s := &Sampler{stat: diskUsed}
	s.busy, s.total = cpuTimes()
	for _, p := range paths {
		s.disks = append(s.disks, &disk{path: p, answers: make(chan diskAnswer, 1), last: Unknown})
	}
	return s
}

// Sample measures. It returns within some seconds whatever hangs.
func (s *Sampler) Sample(ctx context.Context) Vitals {
	v := Vitals{CPU: Unknown, Memory: memoryUsed(), Links: links()}
	busy, total := cpuTimes()
	if total > s.total && busy >= s.busy {
		v.CPU = 100 * float64(busy-s.busy) / float64(total-s.total)
	}
	s.busy, s.total = busy, total
	for _, d := range s.disks {
		v.Disks = append(v.Disks, s.ask(ctx, d))
	}
	for _, g := range gateways() {
		short, cancel := context.WithTimeout(ctx, gatewayPatience)
		_, err := echo.Ping(short, netip.Addr{}, g)
		cancel()
		v.Gateway = append(v.Gateway, Gateway{Address: g, Answers: err == nil})
	}
	return v
}

func (s *Sampler) ask(ctx context.Context, d *disk) Disk {
	if !d.asked {
		d.asked = true
		path, answers, stat := d.path, d.answers, s.stat
		go func() { // at worst it hangs until the disk is back
			used, err := stat(path)
			answers <- diskAnswer{used, err}
		}()
	}
	timer := time.NewTimer(diskPatience)
	defer timer.Stop()
	select {
	case a := <-d.answers:
		d.asked = false
		if a.err != nil {
			a.used = Unknown
		}
		d.last = a.used
		return Disk{Path: d.path, Used: a.used}
	case <-timer.C:
	case <-ctx.Done():
	}
	return Disk{Path: d.path, Used: d.last, Silent: ctx.Err() == nil}
}

// links are the interfaces that have an address beyond the machine.
func links() []Link {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []Link
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				out = append(out, Link{Name: i.Name, Up: i.Flags&net.FlagRunning != 0})
				break
			}
		}
	}
	return out
}
