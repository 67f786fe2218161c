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
	node, listen, err := parseConf(string(conf))
	if err != nil {
		return fmt.Errorf("read configuration in %s: %w", dir, err)
	}
	l, err := net.Listen("tcp", listen.String())
	if err != nil {
		return err
	}
	pidfile := Site{Dir: dir}.Pidfile()
	if err := os.WriteFile(pidfile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Node", node)
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, node+"\n")
		}),
	}
	server.SetKeepAlivesEnabled(false)
	return server.Serve(l)
}

func parseConf(conf string) (node string, listen netip.AddrPort, err error) {
	node, addr, ok := strings.Cut(strings.TrimSpace(conf), " ")
	if !ok || node == "" {
		return "", netip.AddrPort{}, fmt.Errorf("%q is not a node and an address", conf)
	}
	listen, err = netip.ParseAddrPort(addr)
	return node, listen, err
}
