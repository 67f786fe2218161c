//go:build !linux

package agent

// InitPath is where the initrd has this program.
const InitPath = "/init"

// Wanted reports whether this process is to be an agent: only Linux has guests.
func Wanted() bool { return false }

// Main is the agent.
func Main(Command) int { return 1 }
