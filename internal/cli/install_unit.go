package cli

import (
	"fmt"
	"io/fs"
	"strings"
)

// unit is what the systemd unit depends on.
type unit struct {
	Program  string
	StateDir string
	RunDir   string
	Witness  bool
}

// text is the unit's file.
//
// KillMode=process: a stop or crash of the guardian must not take the services
// with it, it alone decides about them. RestartPreventExitStatus=0: a node that
// was stopped on purpose stays stopped. RuntimeDirectoryPreserve: a guardian
// that comes back finds what runs. After=network.target: at shutdown services
// move away while the network is still there.
// Source: systemd.service(5), systemd.exec(5), systemd.kill(5).
func (u unit) text() string {
	run, about := "guardian", "Perdure: keeps services running"
	if u.Witness {
		run, about = "witness", "Perdure witness: votes and hosts nothing"
	}
	flags := ""
	if u.StateDir != defaultStateDir {
		flags += " --state-dir " + quoteUnit(u.StateDir)
	}
	if u.RunDir != defaultRunDir {
		flags += " --run-dir " + quoteUnit(u.RunDir)
	}
	program := quoteUnit(u.Program)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by perdure install; changes belong into a drop-in: systemctl edit perdure")
	line("[Unit]")
	line("Description=%s", about)
	line("Documentation=https://github.com/perdure-ha/perdure")
	line("After=network.target")
	line("StartLimitIntervalSec=0")
	line("")
	line("[Service]")
	line("Type=simple")
	line("ExecStart=%s %s%s", program, run, flags)
	if !u.Witness {
		line("ExecStop=%s node stop --on-shutdown%s", program, flags)
		line("TimeoutStopSec=180")
		line("KillMode=process")
	}
	line("Restart=always")
	line("RestartPreventExitStatus=0")
	line("RestartSec=100ms")
	if u.RunDir == defaultRunDir {
		line("RuntimeDirectory=perdure")
		line("RuntimeDirectoryMode=0700")
		line("RuntimeDirectoryPreserve=yes")
	}
	if u.StateDir == defaultStateDir {
		line("StateDirectory=perdure")
		line("StateDirectoryMode=0700")
	}
	line("OOMScoreAdjust=-900")
	line("LimitMEMLOCK=infinity")
	line("LimitNOFILE=65536")
	if !u.Witness {
		line("Delegate=yes")
		line("TasksMax=infinity")
	}
	line("")
	line("[Install]")
	line("WantedBy=multi-user.target")
	return b.String()
}

// quoteUnit writes a word for a unit's command line.
func quoteUnit(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	s = strings.ReplaceAll(s, "$", "$$")
	if !strings.ContainsAny(s, " \t\"'\\;") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// firewall are the commands that open the port in whatever guards this machine.
func firewall(root fs.FS, port uint16) [][]string {
	if _, err := fs.Stat(root, "run/firewalld"); err == nil {
		return [][]string{
			{"firewall-cmd", "--permanent", fmt.Sprintf("--add-port=%d/udp", port), fmt.Sprintf("--add-port=%d/tcp", port)},
			{"firewall-cmd", "--reload"},
		}
	}
	if b, err := fs.ReadFile(root, "etc/ufw/ufw.conf"); err == nil && strings.Contains(string(b), "ENABLED=yes") {
		return [][]string{
			{"ufw", "allow", fmt.Sprintf("%d/udp", port)},
			{"ufw", "allow", fmt.Sprintf("%d/tcp", port)},
		}
	}
	if b, err := fs.ReadFile(root, "etc/nftables.conf"); err == nil && strings.Contains(string(b), "hook input") {
		return [][]string{{"nft", "insert", "rule", "inet", "filter", "input", "meta", "l4proto", "{", "tcp,", "udp", "}",
			"th", "dport", fmt.Sprint(port), "accept"}}
	}
	return nil
}
