package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/perdure-ha/perdure/internal/message"
)

// check is one thing that the service needs or is weaker without.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"`
	// Found is what was found, for a person.
	Found string `json:"found,omitempty"`
	// Code and Args are the message that says what is missing.
	Code string   `json:"code,omitempty"`
	Args []string `json:"args,omitempty"`
	// Modules are kernel modules to load, now and at each boot.
	Modules []string `json:"modules,omitempty"`
}

// Capabilities that the guardian and the kits need, by their numbers.
// Source: capabilities(7), linux/capability.h.
var capabilities = []struct {
	name   string
	bit    uint
	needed bool
}{
	{"CAP_NET_ADMIN", 12, true}, // addresses, the gate
	{"CAP_NET_RAW", 13, true},   // announcing addresses
	{"CAP_KILL", 5, true},       // services that run as other users
	{"CAP_SETUID", 7, true},     // starting them
	{"CAP_IPC_LOCK", 14, false}, // staying in memory
	{"CAP_SYS_NICE", 23, false}, // running when the machine is overloaded
	{"CAP_SYS_RESOURCE", 24, false},
}

// inspector reads a machine below a root, so that tests can make one up.
type inspector struct {
	root    fs.FS
	release string
	checks  []check
}

// inspect names everything that is missing, before anything is changed.
func inspect(root fs.FS, euid int, witness bool) []check {
	in := &inspector{root: root, release: strings.TrimSpace(read(root, "proc/sys/kernel/osrelease"))}
	in.add(check{Name: "root", OK: euid == 0, Needed: true, Found: fmt.Sprintf("uid %d", euid)}, message.InstallNotRoot)
	in.add(check{Name: "systemd", OK: exists(root, "run/systemd/system"), Needed: true}, message.InstallNoSystemd)
	if witness {
		return in.checks
	}
	in.capabilities()
	in.nftables()
	in.cgroups()
	in.watchdog()
	return in.checks
}

// add keeps a check, with its message if it failed.
func (in *inspector) add(k check, code string, args ...string) {
	if !k.OK {
		k.Code, k.Args, k.Found = code, args, ""
	}
	in.checks = append(in.checks, k)
}

func (in *inspector) capabilities() {
	var have uint64
	for _, line := range strings.Split(read(in.root, "proc/self/status"), "\n") {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			have, _ = strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	for _, c := range capabilities {
		ok := have&(1<<c.bit) != 0
		if !ok || c.needed {
			in.add(check{Name: c.name, OK: ok, Needed: c.needed}, message.InstallNoCapability, c.name)
		}
	}
}

// nftables is the address gate: the table, and the netdev family's egress hook
// for ARP and neighbour frames.
// Source: the egress hook came with Linux 5.16.
func (in *inspector) nftables() {
	k := check{Name: "nf_tables", Found: in.release}
	switch {
	case exists(in.root, "sys/module/nf_tables"), in.builtIn("nf_tables_newtable"):
		k.OK = true
	case in.module("nf_tables"):
		k.OK, k.Modules = true, []string{"nf_tables"}
	}
	in.add(k, message.InstallNoModule, "nf_tables", "CONFIG_NF_TABLES")
	config := in.config()
	ok := config["CONFIG_NETFILTER_EGRESS"] == "y"
	if config == nil {
		ok = atLeast(in.release, 5, 16)
	}
	in.add(check{Name: "nftables egress", OK: ok, Found: in.release}, message.InstallNoEgress, in.release)
	dev := config["CONFIG_NF_TABLES_NETDEV"]
	if config != nil && dev != "y" && dev != "m" {
		in.add(check{Name: "nftables netdev"}, message.InstallNoModule, "nf_tables netdev", "CONFIG_NF_TABLES_NETDEV")
	}
}

// cgroups hold services together: freezing and killing whole trees.
func (in *inspector) cgroups() {
	k := check{Name: "cgroup v2"}
	for _, dir := range []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"} {
		if exists(in.root, path.Join(dir, "cgroup.procs")) && exists(in.root, path.Join(dir, "cgroup.controllers")) {
			k.OK, k.Found = true, "/"+dir
			break
		}
	}
	in.add(k, message.InstallNoCgroup)
}

func (in *inspector) watchdog() {
	k := check{Name: "watchdog"}
	switch {
	case exists(in.root, "dev/watchdog0"):
		k.OK, k.Found = true, strings.TrimSpace("/dev/watchdog0 "+read(in.root, "sys/class/watchdog/watchdog0/identity"))
	case exists(in.root, "dev/watchdog"):
		k.OK, k.Found = true, "/dev/watchdog"
	case in.module("softdog"):
		k.OK, k.Found, k.Modules = true, "softdog", []string{"softdog"}
	}
	in.add(k, message.InstallNoWatchdog)
}

// module reports whether a kernel module is there to be loaded, or built in.
func (in *inspector) module(name string) bool {
	for _, list := range []string{"modules.dep", "modules.builtin"} {
		for _, dir := range []string{"lib/modules", "usr/lib/modules"} {
			for _, line := range strings.Split(read(in.root, path.Join(dir, in.release, list)), "\n") {
				file, _, _ := strings.Cut(line, ":")
				base, _, _ := strings.Cut(path.Base(file), ".ko")
				if strings.ReplaceAll(base, "-", "_") == name {
					return true
				}
			}
		}
	}
	return false
}

// builtIn reports whether the running kernel has a function, for kernels that
// come without a list of what is built in.
func (in *inspector) builtIn(symbol string) bool {
	f, err := in.root.Open("proc/kallsyms")
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) > 2 && words[2] == symbol {
			return true
		}
	}
	return false
}

// config is the running kernel's configuration; nil if it isn't to be found.
func (in *inspector) config() map[string]string {
	text := read(in.root, "boot/config-"+in.release)
	if text == "" {
		if z, err := gzip.NewReader(strings.NewReader(read(in.root, "proc/config.gz"))); err == nil {
			var b bytes.Buffer
			// Bounded: a kernel's configuration is about 300 KiB.
			_, _ = io.Copy(&b, io.LimitReader(z, 4<<20))
			text = b.String()
		}
	}
	if text == "" {
		return nil
	}
	out := make(map[string]string)
	for _, line := range strings.Split(text, "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			out[k] = v
		}
	}
	return out
}

// atLeast compares a kernel release such as 6.12.3-1-amd64.
func atLeast(release string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}

func read(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

func exists(root fs.FS, name string) bool {
	_, err := fs.Stat(root, name)
	return err == nil
}
