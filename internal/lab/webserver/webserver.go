package webserver

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Site describes one node's server.
type Site struct {
	// Node is named in every reply.
	Node string
	// Listen is the address to serve on. An unspecified IP listens on all.
	Listen netip.AddrPort
	// Dir holds configuration, pid file and logs. It must exist.
	Dir string
}

// Pidfile is where the server's main process writes its id.
func (s Site) Pidfile() string { return filepath.Join(s.Dir, "web.pid") }

// FailFile is the file whose existence makes every start fail.
func (s Site) FailFile() string { return filepath.Join(s.Dir, "web.fail") }

// Server is a kind of web server.
type Server struct {
	// Name is "nginx" or "own".
	Name string
	// path is the program.
	path string
}

// Find returns nginx if it is installed, else the server in this program:
// whose main function must call [Main] when its first argument is
// [Argument].
func Find() (Server, error) {
	// sbin is not in everybody's path.
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return Server{Name: "nginx", path: path}, nil
		}
	}
	return Own()
}

// Own returns the server in this program.
func Own() (Server, error) {
	self, err := os.Executable()
	if err != nil {
		return Server{}, fmt.Errorf("find this program for use as a web server: %w", err)
	}
	return Server{Name: "own", path: self}, nil
}

// Prepare writes the site's files. The command starts the server in the
// foreground through a shell that first looks for the fail file, so that
// the start can be made to fail on one node. dir replaces site.Dir in the
// command where nodes see the same directory under another name; empty means
// site.Dir.
func (s Server) Prepare(site Site, dir string) (command string, err error) {
	seen := site
	if dir != "" {
		seen.Dir = dir
	}
	var program []string
	switch s.Name {
	case "nginx":
		conf := filepath.Join(site.Dir, "nginx.conf")
		if err := os.WriteFile(conf, []byte(NginxConfig(seen)), 0o600); err != nil {
			return "", fmt.Errorf("write web server configuration of %s: %w", site.Node, err)
		}
		program = []string{s.path, "-c", filepath.Join(seen.Dir, "nginx.conf"), "-e", filepath.Join(seen.Dir, "web.log")}
	default:
		conf := filepath.Join(site.Dir, "own.conf")
		if err := os.WriteFile(conf, []byte(site.Node+" "+site.Listen.String()+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("write web server configuration of %s: %w", site.Node, err)
		}
		program = []string{s.path, Argument, seen.Dir}
	}
	return fmt.Sprintf("test ! -e %s && exec %s", seen.FailFile(), strings.Join(program, " ")), nil
}
