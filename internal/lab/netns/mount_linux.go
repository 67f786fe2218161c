package netns

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// bootID is where the kernel says which boot this is.
const bootID = "/proc/sys/kernel/random/boot_id"

// furnish makes the calling thread's new mount and host name namespaces look
// like a freshly booted machine of this name: an empty /run, its own boot id,
// its own network devices in /sys. dir is the node's directory.
func furnish(name, dir string) error {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set host name %s: %w", name, err)
	}
	// Private: nothing of what follows may be seen outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	run := filepath.Join(dir, "run")
	if err := os.RemoveAll(run); err != nil {
		return fmt.Errorf("empty /run of %s: %w", name, err)
	}
	if err := os.MkdirAll(run, 0o755); err != nil {
		return fmt.Errorf("make /run of %s: %w", name, err)
	}
	if err := unix.Mount(run, "/run", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount /run of %s: %w", name, err)
	}
	if err := mountBootID(filepath.Join(dir, "boot_id")); err != nil {
		return fmt.Errorf("mount boot id of %s: %w", name, err)
	}
	if err := mountSys(filepath.Join(dir, "cgroups")); err != nil {
		return fmt.Errorf("mount /sys of %s: %w", name, err)
	}
	return nil
}

func mountBootID(file string) error {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	text := fmt.Sprintf("%x-%x-%x-%x-%x\n", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
	if err := os.WriteFile(file, []byte(text), 0o444); err != nil {
		return err
	}
	return unix.Mount(file, bootID, "", unix.MS_BIND, "")
}

// mountSys shows the network devices of this namespace, and the cgroups as
// before. aside is a directory to hold them meanwhile.
func mountSys(aside string) error {
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/sys/fs/cgroup", aside, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	return unix.Mount(aside, "/sys/fs/cgroup", "", unix.MS_MOVE, "")
}
