package webserver

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Argument is the first argument by which this program becomes the web server.
const Argument = "lab-web-server"

// Main serves the site whose directory is dir until it is killed, and returns
// the exit status.
func Main(dir string) int {
	if err := serve(dir); err != nil {
		fmt.Fprintf(os.Stderr, "web server: %v\n", err)
		return 1
	}
	return 0
}

func serve(dir string) error {
	conf, err := os.ReadFile(filepath.Join(dir, "own.conf"))
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	site, err := parseConf(string(conf))
	if err != nil {
		return fmt.Errorf("read configuration in %s: %w", dir, err)
	}
	l, err := net.Listen("tcp", site.Listen.String())
	if err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Node", site.Node)
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, site.Node+"\n")
		}),
	}
	server.SetKeepAlivesEnabled(false)
	ended := make(chan error, 2)
	if site.Check.IsValid() {
		shared, err := listenShared(site.Check)
		if err != nil {
			return err
		}
		go func() { ended <- server.Serve(shared) }()
	}
	pidfile := Site{Dir: dir}.Pidfile()
	if err := os.WriteFile(pidfile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	go func() { ended <- server.Serve(l) }()
	return <-ended
}

// parseConf reads what [Site.conf] writes.
func parseConf(conf string) (site Site, err error) {
	fields := strings.Fields(conf)
	if len(fields) < 2 || len(fields) > 3 {
		return Site{}, fmt.Errorf("%q is not a node and its addresses", conf)
	}
	site.Node = fields[0]
	if site.Listen, err = netip.ParseAddrPort(fields[1]); err == nil && len(fields) == 3 {
		site.Check, err = netip.ParseAddrPort(fields[2])
	}
	return site, err
}
