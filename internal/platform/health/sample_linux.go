package health

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cpuTimes are the ticks that all processors were busy, and all ticks. A tick
// that the hypervisor took away counts as busy: it is missing here.
// Source: proc_stat(5): user nice system idle iowait irq softirq steal.
func cpuTimes() (busy, total uint64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	return parseCPU(string(line))
}

func parseCPU(line string) (busy, total uint64) {
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, 0
	}
	for i, text := range f[1:9] {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return 0, 0
		}
		total += n
		if i != 3 && i != 4 { // idle and waiting for a disk
			busy += n
		}
	}
	return busy, total
}

func memoryUsed() float64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return Unknown
	}
	return parseMemory(b)
}

// Source: proc_meminfo(5): MemAvailable is what could be had without swapping.
func parseMemory(b []byte) float64 {
	var total, available float64
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 2 {
			continue
		}
		n, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			continue
		}
		switch f[0] {
		case "MemTotal:":
			total = n
		case "MemAvailable:":
			available = n
		}
	}
	if total <= 0 || available > total {
		return Unknown
	}
	return 100 * (total - available) / total
}

// diskUsed is how full a file system is for those who aren't root.
func diskUsed(path string) (float64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Unknown, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return used(st.Blocks, st.Bfree, st.Bavail, st.Files, st.Ffree), nil
}

func used(blocks, free, available, files, filesFree uint64) float64 {
	full := 0.0
	if n := blocks - free + available; blocks >= free && n > 0 {
		full = 100 * float64(blocks-free) / float64(n)
	}
	if files > 0 && filesFree <= files {
		full = max(full, 100*float64(files-filesFree)/float64(files))
	}
	return full
}

func gateways() []netip.Addr {
	b, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil
	}
	return parseRoutes(b)
}

// parseRoutes finds the gateways of IPv4 default routes.
// Source: the kernel's net/ipv4/fib_trie.c, fib_route_seq_show: addresses are
// hexadecimal in the machine's byte order; flags RTF_UP 1, RTF_GATEWAY 2.
func parseRoutes(b []byte) []netip.Addr {
	var out []netip.Addr
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		flags, err := strconv.ParseUint(f[3], 16, 16)
		raw, herr := hex.DecodeString(f[2])
		if err != nil || herr != nil || len(raw) != 4 || flags&3 != 3 {
			continue
		}
		var a [4]byte
		binary.NativeEndian.PutUint32(a[:], binary.BigEndian.Uint32(raw))
		if ip := netip.AddrFrom4(a); !ip.IsUnspecified() {
			out = append(out, ip)
		}
	}
	return out
}
