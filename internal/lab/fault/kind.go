package fault

// Kind names a fault.
type Kind string

// The kinds. The comments say what is lost; a lab must not lose more.
const (
	// PowerOff: links first, so that nothing is said in farewell, then every
	// process at once. Disks keep what was synced.
	PowerOff Kind = "power-off"
	// PowerOn boots the node again: new kernel state, old disks.
	PowerOn Kind = "power-on"
	// Freeze stops the whole userland while clocks and the kernel go on: ping
	// and TCP handshakes are answered. With For, a thaw follows.
	Freeze Kind = "freeze"
	// Thaw ends a freeze.
	Thaw Kind = "thaw"

	// Cut loses all frames between two nodes, both ways.
	Cut Kind = "cut"
	// OneWay loses the frames from Node to Peer only.
	OneWay Kind = "one-way"
	// Isolate loses all frames from and to a node, clients included.
	Isolate Kind = "isolate"
	// LinkDown takes the carrier away, which the node's kernel notices.
	LinkDown Kind = "link-down"
	// LinkUp gives it back.
	LinkUp Kind = "link-up"
	// Heal ends every cut, isolation and lost carrier.
	Heal Kind = "heal"

	// Kill ends all processes of a resource by SIGKILL.
	Kill Kind = "kill"
	// KillMain ends only the main process: its children live on, and may hold
	// the port.
	KillMain Kind = "kill-main"
	// Hang stops all processes of a resource; connections are still accepted
	// by the kernel.
	Hang Kind = "hang"
	// HangWorkers stops all processes of a resource but the main one, which
	// still looks well from outside.
	HangWorkers Kind = "hang-workers"
	// Resume ends a hang.
	Resume Kind = "resume"
	// FailStart makes every start of a resource fail on a node.
	FailStart Kind = "fail-start"
	// MendStart ends it.
	MendStart Kind = "mend-start"

	// KillDaemon ends the perdure daemon by SIGKILL; the guardian lives.
	KillDaemon Kind = "kill-daemon"
	// KillGuardian ends the guardian by SIGKILL.
	KillGuardian Kind = "kill-guardian"
	// StopDaemon is the orderly stop of perdure on a node.
	StopDaemon Kind = "stop-daemon"
	// KeepStop is the planned stop of perdure that leaves the services running.
	KeepStop Kind = "keep-stop"
	// StartDaemon starts perdure on a node where it was stopped.
	StartDaemon Kind = "start-daemon"

	// CorruptState damages the node's durable state while it is off or
	// stopped.
	CorruptState Kind = "corrupt-state"
	// LoseState removes it.
	LoseState Kind = "lose-state"
	// SaveState keeps a copy of it, as a snapshot of a virtual disk would.
	SaveState Kind = "save-state"
	// RevertState puts the copy back: the node forgets what came after.
	RevertState Kind = "revert-state"

	// JoinAnew is what a person does for a node whose state is gone: it is
	// removed and joins with a new token.
	JoinAnew Kind = "join-anew"

	// Switchover is no fault but is asked for in the same breath: it moves
	// a hierarchy (Resource) to Node.
	Switchover Kind = "switchover"
)

// shape says which operands a kind takes.
type shape struct {
	kind Kind
	// Each is needed when set, except that For and On may be left out.
	node, peer, resource, on, duration bool
	// onNeeded: the network must be named.
	onNeeded bool
}

// shapes lists every kind once, in the order of the documentation.
var shapes = []shape{
	{kind: PowerOff, node: true},
	{kind: PowerOn, node: true},
	{kind: Freeze, node: true, duration: true},
	{kind: Thaw, node: true},
	{kind: Cut, node: true, peer: true, on: true},
	{kind: OneWay, node: true, peer: true, on: true},
	{kind: Isolate, node: true, on: true},
	{kind: LinkDown, node: true, on: true, onNeeded: true},
	{kind: LinkUp, node: true, on: true, onNeeded: true},
	{kind: Heal},
	{kind: Kill, node: true, resource: true},
	{kind: KillMain, node: true, resource: true},
	{kind: Hang, node: true, resource: true},
	{kind: HangWorkers, node: true, resource: true},
	{kind: Resume, node: true, resource: true},
	{kind: FailStart, node: true, resource: true},
	{kind: MendStart, node: true, resource: true},
	{kind: KillDaemon, node: true},
	{kind: KillGuardian, node: true},
	{kind: StopDaemon, node: true},
	{kind: KeepStop, node: true},
	{kind: StartDaemon, node: true},
	{kind: CorruptState, node: true},
	{kind: LoseState, node: true},
	{kind: SaveState, node: true},
	{kind: RevertState, node: true},
	{kind: JoinAnew, node: true},
	{kind: Switchover, node: true, resource: true},
}

// Kinds returns every kind.
func Kinds() []Kind {
	kinds := make([]Kind, len(shapes))
	for i, s := range shapes {
		kinds[i] = s.kind
	}
	return kinds
}

func shapeOf(k Kind) (shape, bool) {
	for _, s := range shapes {
		if s.kind == k {
			return s, true
		}
	}
	return shape{}, false
}
