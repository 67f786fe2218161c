package tinyguest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/fence"
)

// EchoPort is the UDP port at which the guest sends back what it gets.
const EchoPort = 7

// Main is the guest. It never returns: the machine is switched off instead.
func Main() {
	err := run()
	fmt.Println("tinyguest:", err)
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

type guest struct {
	port    io.ReadWriteCloser
	writing sync.Mutex

	mu   sync.Mutex
	gate fence.Gate
	dogs map[string]fence.Watchdog
}

func run() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	_ = os.WriteFile("/proc/sys/kernel/printk", []byte("7"), 0)
	files, _ := filepath.Glob("/modules/*.ko")
	for _, f := range files {
		if err := loadModule(f); err != nil {
			fmt.Printf("tinyguest: load %s: %v\n", f, err)
		}
	}
	port, err := openPort(10 * time.Second)
	if err != nil {
		return err
	}
	g := &guest{port: port, dogs: make(map[string]fence.Watchdog)}
	go echo()
	g.say(Answer{Text: "up"})
	lines := bufio.NewScanner(port)
	for lines.Scan() {
		var q Request
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			continue
		}
		go g.answer(q) // a disk may hang: the others are answered all the same
	}
	return fmt.Errorf("control port: %w", lines.Err())
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// openPort opens the virtio port named ctl, or the first serial line, raw.
func openPort(patience time.Duration) (*os.File, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, n := range names {
			if text, _ := os.ReadFile(n); strings.TrimSpace(string(text)) == "ctl" {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(n)), os.O_RDWR, 0)
			}
		}
		if data, _ := os.ReadFile("/proc/cmdline"); strings.Contains(string(data), "ctl=ttyS0") {
			return openLine("/dev/ttyS0")
		}
	}
	return nil, errors.New("no control port")
}

func openLine(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return f, unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}

func echo() {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{Port: EchoPort})
	if err != nil {
		fmt.Println("tinyguest: echo:", err)
		return
	}
	buffer := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err == nil {
			_, _ = conn.WriteToUDPAddrPort(buffer[:n], from)
		}
	}
}

func (g *guest) say(a Answer) {
	text, _ := json.Marshal(a)
	g.writing.Lock()
	defer g.writing.Unlock()
	_, _ = g.port.Write(append(text, '\n'))
}

func (g *guest) answer(q Request) {
	a, err := g.do(q)
	a.ID = q.ID
	if err != nil {
		a.Error = err.Error()
	}
	g.say(a)
}

func (g *guest) do(q Request) (Answer, error) {
	switch q.Do {
	case "clocks":
		return clocks(), nil
	case "rtc":
		return readRTC()
	case "net":
		return Answer{}, configure(q.Device, q.Address)
	case "carrier":
		text, err := os.ReadFile("/sys/class/net/" + q.Device + "/carrier")
		return Answer{Yes: strings.TrimSpace(string(text)) == "1"}, err
	case "gate":
		return g.open(q)
	case "arm":
		return g.arm(q)
	case "feed":
		g.mu.Lock()
		defer g.mu.Unlock()
		return Answer{}, g.dogs[q.Device].Feed()
	case "touch":
		return Answer{}, touch(q)
	case "exists":
		_, err := os.Stat(q.Device)
		return Answer{Yes: err == nil}, nil
	case "log":
		return kernelLog()
	case "module":
		return Answer{}, loadModule(q.Device)
	case "panic":
		return Answer{}, os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	case "reset":
		return Answer{}, unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	case "off":
		return Answer{}, unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	return Answer{}, errors.New("unknown question")
}

func clocks() Answer {
	read := func(id int32) int64 {
		var t unix.Timespec
		_ = unix.ClockGettime(id, &t)
		return t.Nano()
	}
	return Answer{Boottime: read(unix.CLOCK_BOOTTIME), Monotonic: read(unix.CLOCK_MONOTONIC), Realtime: read(unix.CLOCK_REALTIME)}
}

// readRTC reads the clock on the board, and says what PTP clocks there are.
func readRTC() (Answer, error) {
	f, err := os.Open("/dev/rtc0")
	if err != nil {
		return Answer{}, err
	}
	defer f.Close()
	t, err := unix.IoctlGetRTCTime(int(f.Fd()))
	if err != nil {
		return Answer{}, err
	}
	ptp, _ := filepath.Glob("/dev/ptp*")
	source, _ := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	at := time.Date(int(t.Year)+1900, time.Month(t.Mon+1), int(t.Mday), int(t.Hour), int(t.Min), int(t.Sec), 0, time.UTC)
	return Answer{RTC: at.Unix(), Text: fmt.Sprintf("ptp=%v clocksource=%s", ptp, strings.TrimSpace(string(source)))}, nil
}

func configure(device, address string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// open opens an address of a device at the real gate, as the guardian does.
func (g *guest) open(q Request) (Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	addr, err := netip.ParseAddr(q.Address)
	if err != nil {
		return Answer{}, err
	}
	if g.gate == nil {
		if g.gate, err = fence.NewGate(fence.Options{Instance: "tiny"}); err != nil {
			return Answer{}, err
		}
		if err := g.gate.Protect(addr, q.Device); err != nil {
			return Answer{}, err
		}
	}
	window := time.Duration(q.Millis) * time.Millisecond
	now := clocks()
	err = g.gate.Open([]netip.Addr{addr}, fence.Window{Timeout: window, Wall: time.Unix(0, now.Realtime).Add(window)})
	now.Text = g.gate.Describe().Name
	return now, err
}

func (g *guest) arm(q Request) (Answer, error) {
	dog, err := fence.OpenWatchdog(q.Device, time.Duration(q.Millis)*time.Millisecond)
	if err != nil {
		return Answer{}, err
	}
	if err := dog.Arm(); err != nil {
		return Answer{}, err
	}
	g.mu.Lock()
	g.dogs[q.Device] = dog
	g.mu.Unlock()
	a := clocks()
	identity, _ := os.ReadFile("/sys/class/watchdog/" + filepath.Base(q.Device) + "/identity")
	a.Text = strings.TrimSpace(string(identity))
	return a, nil
}

// touchSize is a page: the smallest that goes past the guest's cache.
const touchSize = 4096

// touch writes a block at the head of a device, or reads it and compares, past
// the cache.
func touch(q Request) error {
	mode := os.O_RDONLY
	if q.Write {
		mode = os.O_RDWR
	}
	f, err := os.OpenFile(q.Device, mode|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	block, err := unix.Mmap(-1, 0, touchSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer unix.Munmap(block)
	want := bytes.Repeat([]byte{q.Seed}, touchSize)
	if q.Write {
		copy(block, want)
		if _, err := f.WriteAt(block, 0); err != nil {
			return err
		}
		return f.Sync()
	}
	if _, err := f.ReadAt(block, 0); err != nil {
		return err
	}
	if !bytes.Equal(block, want) {
		return fmt.Errorf("read %d, want %d", block[0], q.Seed)
	}
	return nil
}

// kernelLog is the end of what the kernel said.
func kernelLog() (Answer, error) {
	buffer := make([]byte, 1<<18)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buffer)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Text: string(buffer[max(0, n-8000):n])}, nil
}
