package power

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// trigger is where a letter makes the kernel act without the userland.
// Source: Documentation/admin-guide/sysrq.rst; a write by root is always obeyed.
const trigger = "/proc/sysrq-trigger"

func halt(off bool) error { return haltBy(trigger, unix.Reboot, off) }

// haltBy first asks the kernel's emergency path, which waits for no device, then
// reboot(2), which does.
func haltBy(trigger string, reboot func(int) error, off bool) error {
	letter, cmd := "b", unix.LINUX_REBOOT_CMD_RESTART
	if off {
		letter, cmd = "o", unix.LINUX_REBOOT_CMD_POWER_OFF
	}
	var failed error
	if f, err := os.OpenFile(trigger, os.O_WRONLY, 0); err != nil {
		failed = fmt.Errorf("open %s: %w", trigger, err)
	} else {
		if _, err := f.WriteString(letter); err != nil {
			failed = fmt.Errorf("write %q to %s: %w", letter, trigger, err)
		}
		_ = f.Close()
	}
	if err := reboot(cmd); err != nil {
		return errors.Join(failed, fmt.Errorf("reboot(2): %w", err))
	}
	return failed
}
