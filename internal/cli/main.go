package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/message"
)

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1 // the command failed, or the answer is no
	exitUsage    = 2 // the command line is wrong
	exitDetached = 3 // an operation goes on without this command
)

// Terminal is where a command reads and writes.
type Terminal struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
}

// Stdio is the process's own.
func Stdio() Terminal {
	return Terminal{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}
}

// Main runs one command and returns its exit code.
func Main(ctx context.Context, args []string, t Terminal, r Runners, version string) int {
	cmd := &commands{}
	a := &app{term: t, run: r, version: version, lang: message.Language(languageFlag(args), t.Getenv)}
	a.layout()
	code := -1
	parser, err := kong.New(cmd,
		kong.Name("perdure"),
		kong.Description("Keeps services running on a cluster of two or more machines."),
		kong.Writers(t.Out, t.Err),
		kong.Exit(func(c int) { code = c }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(a),
		kong.Vars{
			"state_dir": defaultStateDir, "run_dir": defaultRunDir, "version": version,
		},
	)
	if err != nil {
		a.say(err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if code >= 0 {
		return code // help was printed
	}
	if err != nil {
		a.say(message.New(message.CommandLine, strings.TrimSuffix(err.Error(), ".")))
		return exitUsage
	}
	a.globals = cmd.globals
	if err = a.reach(k.Command()); err == nil {
		err = k.Run(ctx, a)
	}
	return a.exit(err)
}

// languageFlag finds --lang before anything is parsed, so that complaints about
// the command line are in that language as well.
func languageFlag(args []string) string {
	for i, arg := range args {
		if v, ok := strings.CutPrefix(arg, "--lang="); ok {
			return v
		}
		if arg == "--lang" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// app is what every command has.
type app struct {
	globals
	term    Terminal
	run     Runners
	version string
	lang    string
	width   int
	color   bool
	api     *api.Client
	zone    *time.Location
}

// widest is how wide lines get on wide terminals, and where COLUMNS says so:
// longer ones are hard to read.
const widest = 160

// layout looks at the terminal.
func (a *app) layout() {
	a.width = message.DefaultWidth
	columns, terminal := columns(a.term.Out)
	if n, err := strconv.Atoi(a.term.Getenv("COLUMNS")); err == nil {
		columns = n
	}
	if columns >= 40 {
		a.width = min(columns, widest)
	}
	a.color = terminal && a.term.Getenv("NO_COLOR") == "" && a.term.Getenv("TERM") != "dumb"
	a.zone = time.Local
}

// local are the commands that have no use for --server.
var local = []string{"init", "join", "install", "guardian", "witness", "daemon", "demo", "lab"}

// reach prepares the connection to nodes elsewhere, if they are wanted.
func (a *app) reach(command string) (err error) {
	if len(a.Server) == 0 {
		return nil
	}
	if first, _, _ := strings.Cut(command, " "); slices.Contains(local, first) {
		return message.New(message.LocalOnly, first)
	}
	a.api, err = a.remote()
	return err
}

// client connects to the daemon of this machine.
func (a *app) client() *api.Client {
	if a.api == nil {
		a.api = api.Dial(a.RunDir)
	}
	return a.api
}

// silent is an exit code without more words: all was said.
type silent int

func (silent) Error() string { return "" }

// exit says what went wrong and chooses the exit code.
func (a *app) exit(err error) int {
	if a.api != nil {
		a.api.Close()
	}
	var code silent
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	}
	a.say(err)
	return exitFailed
}

// say prints an error: each message of a joined one with cause and next step.
func (a *app) say(err error) {
	if a.JSON {
		a.sayJSON(err)
		return
	}
	for i, e := range flatten(err) {
		if i > 0 {
			_, _ = io.WriteString(a.term.Err, "\n")
		}
		_, _ = io.WriteString(a.term.Err, message.Render(a.lang, e, a.width))
	}
}

func (a *app) sayJSON(err error) {
	type problem struct {
		message.Message
		Args []string `json:"args,omitempty"`
	}
	var all []problem
	for _, e := range flatten(err) {
		if m, ok := message.From(e); ok {
			all = append(all, problem{m.Localize(a.lang), m.Reason().Args})
		} else {
			all = append(all, problem{Message: message.Message{Text: e.Error()}})
		}
	}
	_ = json.NewEncoder(a.term.Err).Encode(map[string]any{"errors": all})
}

func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}
