package webserver

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
)

// Site describes one node's server.
type Site struct {
	// Node is named in every reply.
	Node string
	// Listen is the address to serve on. An unspecified IP listens on all.
	Listen netip.AddrPort
	// Check is one more address to serve on, if it is valid. Servers of several
	// nodes on one machine may share it: then one of them answers.
	Check netip.AddrPort
	// Dir holds configuration, pid file and logs. It must exist.
	Dir string
}

// conf is the configuration of our own server: node, address, and the one that
// is shared.
func (s Site) conf() string {
	text := s.Node + " " + s.Listen.String()
	if s.Check.IsValid() {
		text += " " + s.Check.String()
	}
	return text + "\n"
}

// Pidfile is where the server's main process writes its id.
func (s Site) Pidfile() string { return filepath.Join(s.Dir, "web.pid") }

// FailFile is the file whose existence makes every start fail.
func (s Site) FailFile() string { return filepath.Join(s.Dir, "web.fail") }

// StartsFile gets a line at every start, so that starts can be counted from
// outside.
func (s Site) StartsFile() string { return filepath.Join(s.Dir, "web.starts") }

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

// Workers reports whether the server has processes beside its main one.
func (s Server) Workers() bool { return s.Name == "nginx" }

// Prepare writes the site's files and returns the command that starts the
// server in the foreground: a script that counts the start and looks for the
// fail file first, so that the start can be made to fail on one node. seen is
// site.Dir as the node sees it; empty means the same.
func (s Server) Prepare(site Site, seen string) (argv []string, err error) {
	there := site
	if seen != "" {
		there.Dir = seen
	}
	var program []string
	conf, text := filepath.Join(site.Dir, "own.conf"), site.conf()
	if s.Name == "nginx" {
		conf, text = filepath.Join(site.Dir, "nginx.conf"), NginxConfig(there)
		program = []string{s.path, "-c", filepath.Join(there.Dir, "nginx.conf"), "-e", filepath.Join(there.Dir, "web.log")}
	} else {
		program = []string{s.path, Argument, there.Dir}
	}
	script := fmt.Sprintf("echo start >>%q\ntest ! -e %q || exit 1\nexec", there.StartsFile(), there.FailFile())
	for _, word := range program {
		script += fmt.Sprintf(" %q", word)
	}
	for name, content := range map[string]string{conf: text, filepath.Join(site.Dir, "start"): script + "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("write web server's files of %s: %w", site.Node, err)
		}
	}
	return []string{"/bin/sh", filepath.Join(there.Dir, "start")}, nil
}
