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
	// PowerOffHost takes the power from the hypervisor where Node lives: all its
	// machines die at once, and its uplinks lose their carrier.
	PowerOffHost Kind = "power-off-host"
	// PowerOnHost gives it back; machines boot.
	PowerOnHost Kind = "power-on-host"
	// Panic makes the kernel panic; nothing says farewell.
	Panic Kind = "panic"
	// NMI sends a non-maskable interrupt, which is set to panic.
	NMI Kind = "nmi"

	// Freeze stops the whole userland while clocks and the kernel go on: ping
	// and TCP handshakes are answered. With For, a thaw follows.
	Freeze Kind = "freeze"
	// Thaw ends a freeze.
	Thaw Kind = "thaw"

	// Pause stops the whole machine, kernel too, while its clock goes on: it wakes
	// knowing how long it was away. With For, it continues.
	Pause Kind = "pause"
	// Suspend stops the whole machine with its clock: it wakes and believes that no
	// time has passed. With For, it continues.
	Suspend Kind = "suspend"
	// Continue ends both.
	Continue Kind = "continue"
	// Snapshot keeps memory, clock and disks of a machine.
	Snapshot Kind = "snapshot"
	// Revert goes back to it.
	Revert Kind = "revert"
	// Migrate moves the running machine to another host; disks are shared.
	Migrate Kind = "migrate"
	// MigrateAll moves its disks as well: shared-nothing.
	MigrateAll Kind = "migrate-all"
	// MoveDisk moves a disk (Resource) to another file while the machine runs.
	MoveDisk Kind = "move-disk"

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
	// PortDown switches a node's port off at the switch: its kernel goes on to see a
	// carrier.
	PortDown Kind = "port-down"
	// PortUp switches it on again.
	PortUp Kind = "port-up"
	// SwitchDown takes the power from a network's switch: nothing passes, nobody loses
	// his carrier.
	SwitchDown Kind = "switch-down"
	// SwitchUp gives it back.
	SwitchUp Kind = "switch-up"
	// Loss loses LossPercent of what the node sends, at random.
	Loss Kind = "loss"
	// Delay keeps what the node sends for DelayMillis, give or take a half.
	Delay Kind = "delay"
	// Heal ends every cut, isolation, impairment, and lost carrier or port.
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
	// HangGuardian stops the guardian's process; the daemon, the services and the
	// kernel go on. A watchdog that it armed resets the machine.
	HangGuardian Kind = "hang-guardian"
	// ResumeGuardian ends it; a machine that was reset boots.
	ResumeGuardian Kind = "resume-guardian"
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

	// DiskError lets every request to a disk (Resource) fail.
	DiskError Kind = "disk-error"
	// DiskHang takes requests and never ends them.
	DiskHang Kind = "disk-hang"
	// DiskGone pulls the device out.
	DiskGone Kind = "disk-gone"
	// DiskMend makes the disk good again.
	DiskMend Kind = "disk-mend"

	// JoinAnew is what a person does for a node whose state is gone: it is
	// removed and joins with a new token.
	JoinAnew Kind = "join-anew"

	// Switchover is no fault but is asked for in the same breath: it moves
	// a hierarchy (Resource) to Node.
	Switchover Kind = "switchover"
)

// LossPercent is how much Loss loses, DelayMillis how long Delay keeps, in ms.
const (
	LossPercent = 20
	DelayMillis = 40
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
	{kind: PowerOffHost, node: true},
	{kind: PowerOnHost, node: true},
	{kind: Panic, node: true},
	{kind: NMI, node: true},
	{kind: Freeze, node: true, duration: true},
	{kind: Thaw, node: true},
	{kind: Pause, node: true, duration: true},
	{kind: Suspend, node: true, duration: true},
	{kind: Continue, node: true},
	{kind: Snapshot, node: true},
	{kind: Revert, node: true},
	{kind: Migrate, node: true},
	{kind: MigrateAll, node: true},
	{kind: MoveDisk, node: true, resource: true},
	{kind: Cut, node: true, peer: true, on: true},
	{kind: OneWay, node: true, peer: true, on: true},
	{kind: Isolate, node: true, on: true},
	{kind: LinkDown, node: true, on: true, onNeeded: true},
	{kind: LinkUp, node: true, on: true, onNeeded: true},
	{kind: PortDown, node: true, on: true, onNeeded: true},
	{kind: PortUp, node: true, on: true, onNeeded: true},
	{kind: SwitchDown, on: true, onNeeded: true},
	{kind: SwitchUp, on: true, onNeeded: true},
	{kind: Loss, node: true, on: true},
	{kind: Delay, node: true, on: true},
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
	{kind: HangGuardian, node: true},
	{kind: ResumeGuardian, node: true},
	{kind: StopDaemon, node: true},
	{kind: KeepStop, node: true},
	{kind: StartDaemon, node: true},
	{kind: CorruptState, node: true},
	{kind: LoseState, node: true},
	{kind: SaveState, node: true},
	{kind: RevertState, node: true},
	{kind: DiskError, node: true, resource: true},
	{kind: DiskHang, node: true, resource: true},
	{kind: DiskGone, node: true, resource: true},
	{kind: DiskMend, node: true, resource: true},
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
