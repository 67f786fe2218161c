package webserver

import (
	"fmt"
	"strings"
)

// NginxConfig is the whole configuration of one node's nginx: a master and one
// worker in the foreground, no file outside the site's directory, every
// connection closed after the reply.
func NginxConfig(site Site) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("daemon off;")
	line("master_process on;")
	line("worker_processes 1;")
	// The lab's directories are closed to others, also to nginx's own user.
	line("user root;")
	line("pid %s;", site.Pidfile())
	line("error_log %s/web.log warn;", site.Dir)
	line("events { worker_connections 1024; }")
	line("http {")
	line("  access_log off;")
	line("  server_tokens off;")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		line("  %s_temp_path %s/tmp_%s;", kind, site.Dir, kind)
	}
	line("  keepalive_timeout 0;")
	line("  server {")
	line("    listen %s;", site.Listen)
	if site.Check.IsValid() {
		line("    listen %s reuseport;", site.Check)
	}
	line("    default_type text/plain;")
	line("    location / {")
	line("      add_header X-Node %q always;", site.Node)
	line("      return 200 %q;", site.Node+"\n")
	line("    }")
	line("  }")
	line("}")
	return b.String()
}
