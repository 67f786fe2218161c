package kit

import (
	"context"
	"os"
	"runtime"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// Command is one call of a program. There is no shell: the program gets its
// arguments as they are.
type Command struct {
	// Action names what it is for: start, stop, check, recover. The output
	// goes to the file ACTION.out in the resource's run directory.
	Action string
	Argv   []string
	// Env is added to a minimal environment.
	Env []string
	// Dir is the working directory; empty: /.
	Dir string
	// User runs it; empty: the daemon's.
	User string
	// Timeout ends the whole tree of processes; 0: the context's alone.
	Timeout time.Duration
	// Input is what it reads from standard input; nil: nothing is there.
	Input []byte
	// Keep leaves running what the command started, in the resource's group.
	// Otherwise nothing outlives the command.
	Keep bool
	// Capture is how much of the output the result holds (bytes); 0: only its
	// last lines, as Tail.
	Capture int
}

// Line is the command as a person would type it.
func (c Command) Line() string { return JoinWords(c.Argv) }

// Result is how a command ended.
type Result struct {
	Command  string
	ExitCode int
	// Tail is the last lines of what it printed.
	Tail string
	// Output is all of it, up to Capture bytes.
	Output string
	Took   time.Duration
}

// Failed is the message for an exit code that means failure.
func (r Result) Failed() error {
	return message.New(message.CommandFailed, r.Command, r.ExitCode, r.Tail)
}

// Runner runs commands. An error means that the command did not end by itself:
// it was not started, ran out of time, or was killed. An exit code other than
// 0 is no error.
type Runner interface {
	Run(ctx context.Context, c Command) (Result, error)
}

// environment is what every program gets, and nothing else of the daemon's.
func environment(add ...[]string) []string {
	var env []string
	if runtime.GOOS == "windows" {
		for _, name := range []string{"PATH", "PATHEXT", "SystemRoot", "SystemDrive", "ComSpec", "TEMP", "TMP", "ProgramFiles", "ProgramData"} {
			if v, ok := os.LookupEnv(name); ok {
				env = append(env, name+"="+v)
			}
		}
	} else {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")
	}
	for _, a := range add {
		env = append(env, a...)
	}
	return env
}
