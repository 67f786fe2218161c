package daemon

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/audit"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
)

const (
	auditDir = "audit"
	// relisten is how often an address that couldn't be listened on is tried
	// again, and the certificate looked at.
	relisten = 10 * time.Second
)

// remote serves the API to others than this machine: on the addresses that the
// state says, while it says so.
type remote struct {
	d      *Daemon
	server *api.Server
	cert   atomic.Pointer[pki.Server]
	group  sync.WaitGroup
	// open are the listeners; failed are addresses that were complained about.
	open   map[netip.AddrPort]net.Listener
	failed map[netip.AddrPort]bool
	named  []netip.Addr // what the certificate is for
}

// serveRemote runs until the daemon ends. A witness doesn't hold the CA's key,
// and serves its own machine alone.
func (d *Daemon) serveRemote(s *api.Server) {
	if d.ca == nil {
		return
	}
	r := &remote{d: d, server: s, open: make(map[netip.AddrPort]net.Listener), failed: make(map[netip.AddrPort]bool)}
	tick := time.NewTicker(relisten)
	defer tick.Stop()
	for {
		changed := d.Changed()
		r.follow(api.ListenAddresses(d.State(), d.id.Node))
		select {
		case <-d.ctx.Done():
			r.follow(nil)
			r.group.Wait()
			return
		case <-changed:
		case <-tick.C:
			clear(r.failed) // tried again, and complained about again
		}
	}
}

// follow opens and closes listeners.
func (r *remote) follow(want []netip.AddrPort) {
	for a, l := range r.open {
		if !slices.Contains(want, a) {
			_ = l.Close()
			delete(r.open, a)
		}
	}
	if len(want) == 0 {
		return
	}
	if err := r.certify(want); err != nil {
		if r.d.odd.due("API certificate", time.Minute) {
			r.d.log.Error("make the certificate of the API", "err", err)
		}
		return
	}
	for _, a := range want {
		if r.open[a] == nil && !r.failed[a] {
			r.listen(a)
		}
	}
}

func (r *remote) listen(a netip.AddrPort) {
	l, err := net.Listen("tcp", a.String())
	if err != nil {
		r.failed[a] = true
		if r.d.odd.due("API "+a.String(), time.Minute) {
			r.d.alarms.say(r.d.log, reasonOf(message.New(message.APINotListening, a).Wrap(err)))
		}
		return
	}
	r.open[a] = l
	r.d.log.Info(message.Text(message.English, message.APIListens, a))
	r.group.Go(func() {
		if err := r.server.ServeTLS(l, pki.ServerConfig(r.cert.Load)); err != nil {
			r.d.log.Error("serve the API", "address", a, "err", err)
		}
	})
}

// certify keeps a certificate for the addresses that isn't about to expire.
func (r *remote) certify(want []netip.AddrPort) error {
	var ips []netip.Addr
	for _, a := range want {
		if !a.Addr().IsUnspecified() && !slices.Contains(ips, a.Addr()) {
			ips = append(ips, a.Addr())
		}
	}
	if s := r.cert.Load(); s != nil && slices.Equal(ips, r.named) && !s.RenewDue(time.Now()) {
		return nil
	}
	s, err := r.d.ca.IssueServer(r.d.creds.Self(), ips, time.Now())
	if err != nil {
		return err
	}
	r.cert.Store(s)
	r.named = ips
	return nil
}

// reasonOf is a message as an alarm shows it.
func reasonOf(e *message.Error) cluster.Reason {
	r := e.Reason()
	return cluster.Reason{Code: r.Code, Args: r.Args}
}

// auditor keeps the API's audit log.
type auditor struct {
	d   *Daemon
	log *audit.Log
}

func (d *Daemon) openAudit() *auditor {
	dir := filepath.Join(d.cfg.StateDir, auditDir)
	l, err := audit.Open(dir)
	if err != nil {
		d.alarms.say(d.log, reasonOf(message.New(message.AuditUnwritable, dir, err)))
		return nil
	}
	return &auditor{d: d, log: l}
}

// Record keeps a record, or says that it couldn't.
func (a *auditor) Record(r api.AuditRecord) {
	r.Node = a.d.id.Name
	err := a.log.Append(r)
	switch {
	case err == nil:
		a.d.alarms.clear(message.AuditUnwritable)
	case errors.Is(err, os.ErrClosed):
	default:
		a.d.alarms.say(a.d.log, reasonOf(message.New(message.AuditUnwritable, a.log.Path(), err)))
	}
}

// Last returns the newest records.
func (a *auditor) Last(n int) ([]api.AuditRecord, error) {
	lines, err := a.log.Last(n)
	if err != nil {
		return nil, message.New(message.AuditUnwritable, a.log.Path(), err).Wrap(err)
	}
	out := make([]api.AuditRecord, 0, len(lines))
	for _, b := range lines {
		var r api.AuditRecord
		if json.Unmarshal(b, &r) == nil {
			out = append(out, r)
		}
	}
	return out, nil
}
