package health

import (
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	kernel32             = windows.NewLazySystemDLL("kernel32.dll")
	getSystemTimes       = kernel32.NewProc("GetSystemTimes")
	globalMemoryStatusEx = kernel32.NewProc("GlobalMemoryStatusEx")
)

// cpuTimes are busy and all time of all processors. Kernel time includes idle.
// Source: GetSystemTimes, Microsoft.
func cpuTimes() (busy, total uint64) {
	var idle, kernel, user windows.Filetime
	r, _, _ := getSystemTimes.Call(uintptr(unsafe.Pointer(&idle)), uintptr(unsafe.Pointer(&kernel)), uintptr(unsafe.Pointer(&user)))
	if r == 0 {
		return 0, 0
	}
	ticks := func(f windows.Filetime) uint64 { return uint64(f.HighDateTime)<<32 | uint64(f.LowDateTime) }
	total = ticks(kernel) + ticks(user)
	return total - min(ticks(idle), total), total
}

// memoryStatus is MEMORYSTATUSEX.
type memoryStatus struct {
	length, load                                                                                     uint32
	total, available, totalPage, availablePage, totalVirtual, availableVirtual, availableVirtualMore uint64
}

func memoryUsed() float64 {
	m := memoryStatus{length: uint32(unsafe.Sizeof(memoryStatus{}))}
	if r, _, _ := globalMemoryStatusEx.Call(uintptr(unsafe.Pointer(&m))); r == 0 || m.total == 0 || m.available > m.total {
		return Unknown
	}
	return 100 * float64(m.total-m.available) / float64(m.total)
}

func diskUsed(path string) (float64, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return Unknown, err
	}
	var available, total, free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &available, &total, &free); err != nil {
		return Unknown, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: path, Err: err}
	}
	if total == 0 {
		return Unknown, nil
	}
	return 100 * float64(total-min(free, total)) / float64(total), nil
}

// gateways are not looked for on Windows yet.
func gateways() []netip.Addr { return nil }
