package process

import "syscall"

// Windows has two ways to end a program: Ctrl-Break and termination.
var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "INT": syscall.SIGTERM, "QUIT": syscall.SIGTERM, "HUP": syscall.SIGTERM,
	"USR1": syscall.SIGTERM, "USR2": syscall.SIGTERM, "WINCH": syscall.SIGTERM, "KILL": syscall.SIGKILL,
}

// wakeUp: Windows has no stopped processes; the stop signal is sent again.
const wakeUp = syscall.SIGTERM
