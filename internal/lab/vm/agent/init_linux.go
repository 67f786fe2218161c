package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/lab/space"
)

// InitPath is where the initrd has this program; being run under that name as
// process 1 makes it the agent.
const InitPath = "/init"

// ServeArgument is the first argument by which the program becomes the agent
// under somebody else's process 1.
const ServeArgument = "lab-agent"

// Words of the kernel's command line that are the agent's.
const (
	// WordName is the guest's name.
	WordName = "lab.name="
	// WordRoot is the read-only root's device; WordState that of perdure's state.
	WordRoot  = "lab.root="
	WordState = "lab.state="
	// WordControl is the control channel: a device, or port:NAME of a virtio port.
	WordControl = "lab.control="
	// WordNet is DEVICE:PREFIX, once for each address.
	WordNet = "lab.net="
	// WordSystemd hands the guest over to systemd.
	WordSystemd = "lab.systemd"
)

// Wanted reports whether this process is to be an agent, of which kind.
func Wanted() bool {
	return os.Getpid() == 1 && os.Args[0] == InitPath || len(os.Args) == 2 && os.Args[1] == ServeArgument
}

// Main is the agent; command is perdure's command line. As process 1 it never returns.
func Main(command Command) int {
	if len(os.Args) == 2 && os.Args[1] == ServeArgument {
		if err := serveGuest(command); err != nil {
			fmt.Fprintf(os.Stderr, "agent: %v\n", err)
			return 1
		}
		return 0
	}
	if err := boot(); err != nil {
		// On the console, which the hypervisor keeps. Then the kernel panics, which
		// the hypervisor notices.
		fmt.Printf("lab agent: boot: %v\n", err)
		return 1
	}
	return 0
}

// words are those of the kernel's command line.
func words() ([]string, error) {
	text, err := os.ReadFile("/proc/cmdline")
	return strings.Fields(string(text)), err
}

// word returns the value of a word that occurs once.
func word(all []string, prefix string) string {
	for _, w := range all {
		if value, ok := strings.CutPrefix(w, prefix); ok {
			return value
		}
	}
	return ""
}

const (
	// newRoot is where the root is put together before it becomes one.
	newRoot = "/new"
	// layerDir is where the layer over the read-only image is.
	layerDir = "/layer"
)

// boot makes a system of what the hypervisor gave, and stays as process 1.
func boot() error {
	for _, m := range []mount{
		{"proc", "/proc", "proc", 0, ""}, {"sysfs", "/sys", "sysfs", 0, ""}, {"devtmpfs", "/dev", "devtmpfs", 0, ""},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	cmdline, err := words()
	if err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	systemd := word(cmdline, WordSystemd) != ""
	layer := mount{"tmpfs", layerDir, "tmpfs", 0, ""}
	if systemd {
		// What is installed and enabled must outlive a boot: all that changes is on the
		// node's disk.
		layer = mount{word(cmdline, WordState), layerDir, "ext4", 0, ""}
		if err := awaitDevice(layer.source); err != nil {
			return err
		}
	}
	if err := mountRoot(word(cmdline, WordRoot), layer); err != nil {
		return err
	}
	if err := enterRoot(); err != nil {
		return err
	}
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	os.Setenv("HOME", "/root")
	if !systemd {
		if err := mountState(word(cmdline, WordState)); err != nil {
			return err
		}
		os.Setenv("PERDURE_STATE_DIR", StateDir)
		os.Setenv("PERDURE_CGROUP_ROOT", NodeGroup)
	}
	name := word(cmdline, WordName)
	if err := unix.Sethostname([]byte(name)); err != nil {
		return os.NewSyscallError("sethostname", err)
	}
	if err := os.WriteFile("/etc/hostname", []byte(name+"\n"), 0o644); err != nil {
		return err
	}
	if err := startNetwork(cmdline); err != nil {
		return err
	}
	if systemd {
		return handOver()
	}
	for _, m := range []mount{
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
		{"tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"devpts", "/dev/pts", "devpts", 0, "ptmxmode=0666"},
		{"tmpfs", "/dev/shm", "tmpfs", 0, ""},
		{"cgroup2", cgroupMount, "cgroup2", 0, ""},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(initGroup, 0o755); err != nil {
		return err
	}
	return reap()
}

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data)
	if err != nil && !(errors.Is(err, unix.EBUSY) && m.kind == "devtmpfs") { // the kernel may have done it
		return fmt.Errorf("mount %s at %s: %w", m.source, m.target, err)
	}
	return nil
}

// loadModules loads the initrd's, in their order.
func loadModules() error {
	list, err := os.ReadFile("/modules.list")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, path := range strings.Fields(string(list)) {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", path, err)
		}
		if err := os.Remove(path); err != nil { // its memory
			return err
		}
	}
	return nil
}

// deviceWait bounds the wait for a disk to be found by the kernel.
const deviceWait = 10 * time.Second

func awaitDevice(path string) error {
	for deadline := time.Now().Add(deviceWait); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return nil
		} else if time.Now().After(deadline) {
			return fmt.Errorf("wait for %s: %w", path, err)
		}
	}
}

// mountRoot puts the new root together: the read-only image, a layer over it, and
// this program.
func mountRoot(root string, layer mount) error {
	if err := awaitDevice(root); err != nil {
		return err
	}
	for _, m := range []mount{{root, "/lower", "squashfs", unix.MS_RDONLY, ""}, layer} {
		if err := m.do(); err != nil {
			return err
		}
	}
	for _, dir := range []string{layerDir + "/upper", layerDir + "/work"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := (mount{"overlay", newRoot, "overlay", 0, "lowerdir=/lower,upperdir=" + layerDir + "/upper,workdir=" + layerDir + "/work"}).do(); err != nil {
		return err
	}
	program := newRoot + ProgramPath
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(InitPath, program, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show the program at %s: %w", ProgramPath, err)
	}
	return nil
}

// enterRoot makes the new root the only one. Source: what switch_root(8) does.
func enterRoot() error {
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mount(dir, newRoot+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("enter the root: %w", err)
	}
	return os.Chdir("/")
}

// mountState mounts the disk with perdure's state. The kernel may have to load the
// file system, which it finds in the new root.
func mountState(device string) error {
	if device == "" {
		return nil
	}
	if err := awaitDevice(device); err != nil {
		return err
	}
	return mount{device, filepath.Dir(StateDir), "ext4", 0, ""}.do()
}

// startNetwork starts the cards and gives them their addresses.
func startNetwork(cmdline []string) error {
	link, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer link.Close()
	if err := space.StartLoopback(link); err != nil {
		return err
	}
	// A module of some kernels, and built into others.
	if out, err := exec.Command("modprobe", "ipv6").CombinedOutput(); err != nil {
		return fmt.Errorf("load IPv6: %w: %s", err, out)
	}
	// The lab has no duplicates and no routers.
	if err := space.Sysctl("net/ipv6/conf/default/accept_dad", "0", "net/ipv6/conf/all/accept_dad", "0",
		"net/ipv6/conf/default/accept_ra", "0"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, w := range cmdline {
		value, ok := strings.CutPrefix(w, WordNet)
		if !ok {
			continue
		}
		name, text, ok := strings.Cut(value, ":")
		prefix, err := netip.ParsePrefix(text)
		if !ok || err != nil {
			return fmt.Errorf("%q is not DEVICE:PREFIX (%v)", value, err)
		}
		device, err := link.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		_ = space.Sysctl("net/ipv6/conf/"+name+"/accept_dad", "0")
		if err := link.AddrAdd(device, &netlink.Addr{IPNet: space.IPNet(prefix)}); err != nil {
			return fmt.Errorf("give %s to %s: %w", prefix, name, err)
		}
		if err := link.LinkSetUp(device); err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
	}
	return nil
}

// reap starts the agent proper and stays process 1: the parent of who has lost
// his own. It ends with the agent.
func reap() error {
	agent := exec.Command(ProgramPath, ServeArgument)
	agent.Stdout, agent.Stderr = os.Stdout, os.Stderr
	if err := agent.Start(); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return os.NewSyscallError("wait4", err)
		case pid == agent.Process.Pid:
			return fmt.Errorf("the agent ended (%v): so does the machine", status)
		}
	}
}

// unit runs the agent under systemd, outside of what a freeze stops: in a slice of its
// own.
const unit = `[Unit]
Description=Agent of the lab
DefaultDependencies=no
After=dev.mount systemd-tmpfiles-setup-dev.service
[Service]
ExecStart=` + ProgramPath + ` ` + ServeArgument + `
Slice=` + systemdSlice + `
StandardOutput=tty
TTYPath=/dev/console
OOMScoreAdjust=-900
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
Delegate=yes
Restart=no
[Install]
WantedBy=sysinit.target
`

// handOver makes systemd process 1.
func handOver() error {
	const dir = "/etc/systemd/system"
	if err := os.WriteFile(dir+"/lab-agent.service", []byte(unit), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(dir+"/sysinit.target.wants", 0o755); err != nil {
		return err
	}
	if err := os.Symlink("../lab-agent.service", dir+"/sysinit.target.wants/lab-agent.service"); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := maskGenerators(); err != nil {
		return err
	}
	return os.NewSyscallError("exec systemd", syscall.Exec("/lib/systemd/systemd",
		[]string{"/sbin/init", "--unit=multi-user.target"}, os.Environ()))
}

// maskGenerators leaves out what makes units of files that a guest doesn't have: a
// dozen programs at each reading of the units. Source: systemd.generator(7).
func maskGenerators() error {
	const masked = "/etc/systemd/system-generators"
	found, err := filepath.Glob("/lib/systemd/system-generators/*")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(masked, 0o755); err != nil {
		return err
	}
	for _, generator := range found {
		if err := os.Symlink("/dev/null", filepath.Join(masked, filepath.Base(generator))); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// serveGuest opens the control channel and serves until it ends.
func serveGuest(command Command) error {
	cmdline, err := words()
	if err != nil {
		return err
	}
	name, systemd := word(cmdline, WordName), word(cmdline, WordSystemd) != ""
	n := newNode(name, systemd)
	if err := os.MkdirAll(n.programs, 0o755); err != nil {
		return err
	}
	port, err := openControl(word(cmdline, WordControl))
	if err != nil {
		return err
	}
	defer port.Close()
	g := &guest{name: name, node: n, perdure: command, running: map[uint64]*program{}, asking: map[uint64]context.CancelFunc{}}
	return g.serve(port)
}

// openControl opens the control channel, without anything that a terminal would
// do to it.
func openControl(where string) (*os.File, error) {
	path := where
	if name, ok := strings.CutPrefix(where, "port:"); ok {
		found, err := findPort(name)
		if err != nil {
			return nil, err
		}
		path = found
	}
	if err := awaitDevice(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return f, nil // no terminal at all
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		f.Close()
		return nil, fmt.Errorf("make %s raw: %w", path, err)
	}
	return f, nil
}

// findPort finds a virtio port by its name. Source: Linux,
// drivers/char/virtio_console.c
// (attribute "name").
func findPort(name string) (string, error) {
	for deadline := time.Now().Add(deviceWait); ; time.Sleep(5 * time.Millisecond) {
		files, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return "", err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err == nil && strings.TrimSpace(string(text)) == name {
				return "/dev/" + filepath.Base(filepath.Dir(file)), nil
			}
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("no virtio port %s within %v", name, deviceWait)
		}
	}
}
