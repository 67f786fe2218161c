package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/commpath"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/durable"
)

const (
	unitPath    = "/etc/systemd/system/perdure.service"
	modulesPath = "/etc/modules-load.d/perdure.conf"
	optionsPath = "/etc/modprobe.d/perdure.conf"
	// installStep bounds each command that the installation runs. systemd's reading of
	// its units took more than 30 s on a busy machine without hardware virtualization.
	installStep = 3 * time.Minute
)

type installCmd struct {
	DryRun   bool   `help:"Only say what is missing and what would be done."`
	Witness  bool   `help:"The service is a witness, which hosts nothing."`
	Firewall bool   `help:"Open the port in firewalld, ufw or nftables instead of naming the commands."`
	Port     uint16 `help:"Port of the comm paths." default:"7400"`
}

// Run looks at everything first and changes nothing if something that it needs
// is missing.
func (c installCmd) Run(ctx context.Context, a *app) error {
	if runtime.GOOS != "linux" {
		return a.absent("install")
	}
	if c.Port == 0 {
		c.Port = commpath.DefaultPort
	}
	self, err := os.Executable()
	if err != nil {
		return message.New(message.InstallFailed, "find this program").Wrap(err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return message.New(message.InstallFailed, "find this program").Wrap(err)
	}
	checks := inspect(os.DirFS("/"), os.Geteuid(), c.Witness)
	p := c.plan(unit{Program: self, StateDir: a.StateDir, RunDir: a.RunDir, Witness: c.Witness}, checks)
	if a.JSON {
		if err := a.printJSON(p); err != nil {
			return err
		}
	} else {
		a.showPlan(&p, c.DryRun)
	}
	if missing := p.missing(); len(missing) > 0 {
		if c.DryRun {
			return silent(exitFailed)
		}
		return message.New(message.InstallMissing, missing)
	}
	if c.DryRun {
		return nil
	}
	return a.carryOut(ctx, &p)
}

// plan is what an installation does.
type plan struct {
	Checks   []check           `json:"checks"`
	Files    map[string]string `json:"files"`
	Commands [][]string        `json:"commands"`
	// Firewall are the commands that open the port; they are run if asked for.
	Firewall    [][]string `json:"firewall"`
	runFirewall bool
}

func (c installCmd) plan(u unit, checks []check) plan {
	p := plan{
		Checks:      checks,
		Files:       map[string]string{unitPath: u.text()},
		Firewall:    firewall(os.DirFS("/"), c.Port),
		runFirewall: c.Firewall,
	}
	for _, k := range checks {
		for _, m := range k.Modules {
			p.Commands = append(p.Commands, []string{"modprobe", m})
			p.Files[modulesPath] += m + "\n"
		}
	}
	if strings.Contains(p.Files[modulesPath], "softdog\n") {
		// Or a planned stop of perdure would be a reset of the machine.
		p.Files[optionsPath] = "# See perdure install.\noptions softdog nowayout=0\n"
	}
	if text := p.Files[modulesPath]; text != "" {
		p.Files[modulesPath] = "# Loaded for perdure.service; see perdure install.\n" + text
	}
	p.Commands = append(p.Commands, []string{"systemctl", "daemon-reload"}, []string{"systemctl", "enable", "perdure.service"})
	return p
}

// missing are the checks without which the service can't work.
func (p *plan) missing() []string {
	var out []string
	for _, k := range p.Checks {
		if !k.OK && k.Needed {
			out = append(out, k.Name)
		}
	}
	return out
}

func (a *app) showPlan(p *plan, dry bool) {
	var rows [][]cell
	for _, k := range p.Checks {
		state := cell{a.label("ok", "正常"), good}
		switch {
		case !k.OK && k.Needed:
			state = cell{a.label("missing", "不足"), bad}
		case !k.OK:
			state = cell{a.label("weaker", "低下"), warn}
		}
		text := k.Found
		if k.Code != "" {
			m := message.New(k.Code, anys(k.Args)...).Localize(a.lang)
			text = m.Text
			if !k.OK {
				text += ": " + m.Next
			}
		}
		rows = append(rows, []cell{state, {k.Name, strong}, {text: text}})
	}
	a.table(a.term.Out, "", rows)
	a.printf("\n")
	would := a.label("writes", "書き込み")
	runs := a.label("runs", "実行")
	if dry {
		would, runs = a.label("would write", "書き込み予定"), a.label("would run", "実行予定")
	}
	rows = nil
	for _, path := range sortedKeys(p.Files) {
		rows = append(rows, plain(would, path))
	}
	for _, c := range p.Commands {
		rows = append(rows, plain(runs, strings.Join(c, " ")))
	}
	for _, c := range p.Firewall {
		word := a.label("run yourself", "手動で実行")
		if p.runFirewall {
			word = runs
		}
		rows = append(rows, plain(word, strings.Join(c, " ")))
	}
	a.table(a.term.Out, "", rows)
	if dry {
		a.printf("\n%s\n%s", unitPath+":", p.Files[unitPath])
	}
}

// carryOut writes the files and runs the commands.
func (a *app) carryOut(ctx context.Context, p *plan) error {
	for _, path := range sortedKeys(p.Files) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return message.New(message.InstallFailed, "make "+filepath.Dir(path)).Wrap(err)
		}
		if err := durable.WriteFile(path, []byte(p.Files[path]), 0o644); err != nil {
			return message.New(message.InstallFailed, "write "+path).Wrap(err)
		}
	}
	commands := p.Commands
	if p.runFirewall {
		commands = append(commands, p.Firewall...)
	}
	for _, c := range commands {
		if err := step(ctx, c); err != nil {
			return message.New(message.InstallFailed, strings.Join(c, " ")).Wrap(err)
		}
	}
	if !a.JSON {
		a.printf("\n")
		a.print(message.Installed)
	}
	return nil
}

func step(ctx context.Context, words []string) error {
	ctx, cancel := context.WithTimeout(ctx, installStep)
	defer cancel()
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
