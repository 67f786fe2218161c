package power

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// halt forces the end of all processes without asking them.
// Source: ExitWindowsEx, which needs SeShutdownPrivilege.
func halt(off bool) error {
	if err := privilege("SeShutdownPrivilege"); err != nil {
		return err
	}
	flags := uint32(windows.EWX_REBOOT | windows.EWX_FORCE)
	if off {
		flags = windows.EWX_POWEROFF | windows.EWX_FORCE
	}
	const reason = windows.SHTDN_REASON_MAJOR_SOFTWARE | windows.SHTDN_REASON_MINOR_OTHER
	if err := windows.ExitWindowsEx(flags, reason); err != nil {
		return fmt.Errorf("ExitWindowsEx: %w", err)
	}
	return nil
}

func privilege(name string) error {
	var token windows.Token
	if err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &token); err != nil {
		return fmt.Errorf("open this process's token: %w", err)
	}
	defer token.Close()
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	p := windows.Tokenprivileges{PrivilegeCount: 1}
	if err := windows.LookupPrivilegeValue(nil, text, &p.Privileges[0].Luid); err != nil {
		return fmt.Errorf("look up %s: %w", name, err)
	}
	p.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
	if err := windows.AdjustTokenPrivileges(token, false, &p, 0, nil, nil); err != nil {
		return fmt.Errorf("enable %s: %w", name, err)
	}
	return nil
}
