package ocf

import (
	"bytes"
	"strings"
	"testing"
)

func TestShim(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{stateVariable: dir, "OCF_RESOURCE_INSTANCE": "web.db", "OCF_RESKEY_memory": "512"}
	run := func(line string) (string, int) {
		var out, errs bytes.Buffer
		code := Shim{Args: strings.Fields(line), Getenv: func(k string) string { return env[k] }, Node: "n1", Out: &out, Err: &errs}.Run()
		return strings.TrimSpace(out.String()), code
	}
	// As agents call them; see the package of the distribution.
	for _, c := range []struct {
		line, out string
		code      int
	}{
		{"/x/crm_node -n", "n1", 0},
		{"crm_node -l", "1 n1 member", 0},
		{"crm_node -p", "n1", 0},
		{"crm_node -q", "1", 0},
		{"crm_node -i", "1", 0},
		{"crm_master -Q -l reboot -G", "", crmNoSuch},
		{"crm_master -Q -l reboot -v 100", "", 0},
		{"crm_master -Q -l reboot -G", "100", 0},
		{"crm_attribute -p -G", "scope=nodes  name=master-web.db value=100", 0},
		{"crm_attribute -p -v 5", "", 0},
		{"crm_master -l reboot -D", "", 0},
		{"crm_master -G", "", crmNoSuch},
		{"crm_attribute -N n1 -l reboot --name db-ready -v true", "", 0},
		{"crm_attribute -N n1 -l reboot --name db-ready --quiet", "true", 0},
		{"crm_attribute -N n1 -l reboot --name db-ready --query", "scope=status  name=db-ready value=true", 0},
		{"crm_attribute -N n2 -l reboot --name db-ready --query -q", "", crmNoSuch},
		{"crm_attribute --node n2 -n db-ready -d none -G -q", "none", 0},
		{"crm_attribute --type crm_config --name x -s set -v 1|2", "", 0},
		{"crm_attribute --type crm_config --name x -s set --query -q", "1|2", 0},
		{"crm_attribute -t nodes --node n1 -z -n cpu -v 8", "", 0},
		{"crm_attribute -N n1 -l reboot --name db-ready -D", "", 0},
		{"crm_attribute -n db-ready -G", "", crmNoSuch},
		{"attrd_updater -n fails -U 1", "", 0},
		{"attrd_updater -n fails -v value++", "", 0},
		{"attrd_updater -n fails -v value+=5", "", 0},
		{"attrd_updater -Q -n fails", `name="fails" host="n1" value="7"`, 0},
		{"attrd_updater -d 5s -S status -n machines -v 3", "", 0},
		{"attrd_updater -D -S state -n machines", "", 0},
		{"attrd_updater -p --name fails --node n1 --query", `name="fails" host="n1" value="7"`, 0},
		{"crm_resource -W -r web.db", "resource web.db is running on: n1", 0},
		{"crm_resource -Q -r web.db -z -g memory", "512", 0},
		{"crm_resource --move -r web.db", "", crmUsage},
		{"crm_resource -r web.db -z", "", crmError},
		{"crm_attribute -n ../../x -v 1", "", crmError},
		{"crm_attribute -N ../x -n y -v 1", "", crmError},
		{"crm_attribute -v", "", crmUsage},
		{"crm_attribute -v 1", "", crmUsage},
		{"crm_attribute -n y -v " + strings.Repeat("x", valueMax+1), "", crmError},
		{"crm_attribute --frobnicate", "", crmUsage},
	} {
		if out, code := run(c.line); out != c.out || code != c.code {
			t.Errorf("%.80s: %q and %d, want %q and %d", c.line, out, code, c.out, c.code)
		}
	}
	delete(env, stateVariable)
	if _, code := run("crm_node -n"); code != crmNotThere {
		t.Errorf("outside of an agent: %d", code)
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("-l reboot --name=x -v 1 -D")
	f.Add("-l")
	f.Fuzz(func(t *testing.T, line string) {
		c, err := options(strings.Fields(line))
		if err == nil && len(c.name)+len(c.value) > 2*len(line) {
			t.Fatal("more came out than went in")
		}
	})
}
