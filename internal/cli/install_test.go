package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/perdure-ha/perdure/internal/api/apitest"
)

func TestUnitText(t *testing.T) {
	for name, u := range map[string]unit{
		"default.service": {Program: "/usr/local/bin/perdure", StateDir: defaultStateDir, RunDir: defaultRunDir},
		"dirs.service":    {Program: "/opt/my tools/perdure", StateDir: "/data/100%/perdure", RunDir: "/run/other"},
		"witness.service": {Program: "/usr/local/bin/perdure", StateDir: defaultStateDir, RunDir: defaultRunDir, Witness: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", "install", name)
			got := u.text()
			if apitest.Rewriting() {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("-rewrite writes it anew:\n%s", d)
			}
		})
	}
}

// machine makes the files of one up.
func machine(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{
		"proc/sys/kernel/osrelease":  {Data: []byte("6.12.3-1-amd64\n")},
		"run/systemd/system/x":       {},
		"proc/self/status":           {Data: []byte("Name:\tx\nCapEff:\t000001ffffffffff\n")},
		"sys/module/nf_tables/x":     {},
		"sys/fs/cgroup/cgroup.procs": {}, "sys/fs/cgroup/cgroup.controllers": {},
		"dev/watchdog0": {},
	}
	for k, v := range files {
		if v == "-" {
			delete(m, k)
			continue
		}
		m[k] = &fstest.MapFile{Data: []byte(v)}
	}
	return m
}

func TestInspect(t *testing.T) {
	for _, tt := range []struct {
		name    string
		files   map[string]string
		euid    int
		missing string // needed
		weaker  string
		modules string
	}{
		{name: "all well"},
		{name: "not root", euid: 1000, missing: "root"},
		{name: "no systemd", files: map[string]string{"run/systemd/system/x": "-"}, missing: "systemd"},
		{name: "container", files: map[string]string{"proc/self/status": "CapEff:\t00000000a80425fb\n"},
			missing: "CAP_NET_ADMIN", weaker: "CAP_IPC_LOCK CAP_SYS_NICE CAP_SYS_RESOURCE"},
		{name: "modules to load", files: map[string]string{
			"sys/module/nf_tables/x": "-", "dev/watchdog0": "-",
			"lib/modules/6.12.3-1-amd64/modules.dep": "kernel/net/netfilter/nf_tables.ko.xz: x\nkernel/drivers/watchdog/softdog.ko.xz:\n",
		}, modules: "nf_tables softdog"},
		{name: "no modules at all", files: map[string]string{"sys/module/nf_tables/x": "-", "dev/watchdog0": "-"},
			weaker: "nf_tables watchdog"},
		{name: "built in", files: map[string]string{"sys/module/nf_tables/x": "-",
			"proc/kallsyms": "0 t other\n0 t nf_tables_newtable\n"}},
		{name: "old kernel", files: map[string]string{"proc/sys/kernel/osrelease": "5.14.0-1\n"}, weaker: "nftables egress"},
		{name: "egress not configured", files: map[string]string{"boot/config-6.12.3-1-amd64": "CONFIG_NF_TABLES_NETDEV=m\n# CONFIG_NETFILTER_EGRESS is not set\n"},
			weaker: "nftables egress"},
		{name: "hybrid groups", files: map[string]string{"sys/fs/cgroup/cgroup.procs": "-",
			"sys/fs/cgroup/unified/cgroup.procs": "", "sys/fs/cgroup/unified/cgroup.controllers": ""}},
		{name: "old groups", files: map[string]string{"sys/fs/cgroup/cgroup.controllers": "-"}, weaker: "cgroup v2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var missing, weaker, modules []string
			for _, k := range inspect(machine(tt.files), tt.euid, false) {
				switch {
				case !k.OK && k.Needed:
					missing = append(missing, k.Name)
				case !k.OK:
					weaker = append(weaker, k.Name)
				}
				if !k.OK && k.Code == "" {
					t.Errorf("%s has no message", k.Name)
				}
				modules = append(modules, k.Modules...)
			}
			for _, c := range []struct{ what, want, got string }{
				{"missing", tt.missing, strings.Join(missing, " ")}, {"weaker", tt.weaker, strings.Join(weaker, " ")},
				{"modules", tt.modules, strings.Join(modules, " ")},
			} {
				if c.got != c.want {
					t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
				}
			}
		})
	}
}

func TestPlanLoadsModulesAtEachBoot(t *testing.T) {
	p := installCmd{Port: 7400}.plan(unit{Program: "/usr/bin/perdure"}, []check{{Name: "watchdog", OK: true, Modules: []string{"softdog"}}})
	if !strings.HasSuffix(p.Files[modulesPath], "\nsoftdog\n") || !slices.Equal(p.Commands[0], []string{"modprobe", "softdog"}) {
		t.Errorf("%q, %v", p.Files[modulesPath], p.Commands)
	}
	if !strings.Contains(p.Files[optionsPath], "softdog nowayout=0") {
		t.Errorf("the watchdog couldn't be stopped: %q", p.Files[optionsPath])
	}
}

func TestFirewall(t *testing.T) {
	for want, files := range map[string]fstest.MapFS{
		"":             {},
		"firewall-cmd": {"run/firewalld/x": {}},
		"ufw":          {"etc/ufw/ufw.conf": {Data: []byte("ENABLED=yes\n")}},
		"nft":          {"etc/nftables.conf": {Data: []byte("chain input { type filter hook input priority 0; }")}},
	} {
		got := ""
		if c := firewall(files, 7400); len(c) > 0 {
			got = c[0][0]
			if !strings.Contains(strings.Join(slices.Concat(c...), " "), "7400") {
				t.Errorf("%s: the port is missing in %v", want, c)
			}
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
