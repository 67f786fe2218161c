package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test program is also the first process of the guests that it boots.

func TestMain(m *testing.M) {
	if os.Getpid() == 1 && os.Getenv("PERDURE_LAB_GUEST") != "" {
		guest()
	}
	os.Exit(m.Run())
}

// guestCommands must succeed in the root. The words say for which kinds.
var guestCommands = []struct{ kinds, command string }{
	{"qemu uml", "uname -r; cat /proc/meminfo | head -2; du -sh /lib/modules"},
	{"qemu uml", "ip link set lo up && ip link"},
	{"qemu", "nft add table inet x && nft 'add chain inet x c { type filter hook input priority 0; }' && nft add rule inet x c ct state established accept && nft list ruleset"},
	{"uml", "nft add table bridge x && nft list ruleset"},
	{"qemu uml", "nginx -t"},
	{"qemu uml", "mkdir -p /m && for m in softdog sch_netem dm_multipath dm_snapshot dm_flakey dm_delay iscsi_tcp nfs nfsv4 nfsd nbd macvlan vrf dummy bridge veth 8021q tun target_core_mod iscsi_target_mod; do modprobe $m || { echo no $m; e=1; }; done; exit ${e:-0}"},
	{"qemu", "for m in i6300esb ext4 xfs virtio_scsi sd_mod virtio_balloon nf_tables nft_ct nft_reject_inet nft_fib_inet; do modprobe $m || { echo no $m; e=1; }; done; ls -l /dev/watchdog* /dev/vda; exit ${e:-0}"},
	{"uml", "ls -l /dev/ubda /dev/watchdog*; modprobe drbd && modprobe md_mod"},
	{"qemu uml", "ip link add br0 type bridge && ip link add d0 type dummy && ip link set d0 master br0 && tc qdisc add dev d0 root netem delay 10ms && tc qdisc show dev d0"},
	{"qemu uml", "truncate -s 64M /run/disk && mkfs.ext4 -q /run/disk && modprobe loop && mount -o loop /run/disk /mnt && df /mnt && umount /mnt"},
	{"qemu uml", "dmsetup version && iscsid --version && sg_persist --version && test -x /sbin/multipathd && test -x /usr/sbin/rpc.nfsd && openssl version && test -s /sbin/init && systemctl --version | head -1"},
	{"qemu uml", "cat /proc/uptime"},
}

// guest is the first process of a guest: it does by hand what the agent does.
func guest() {
	must := func(what string, err error) {
		if err != nil {
			fmt.Printf("guest: %s: %v\n", what, err)
			unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		}
	}
	must("mount /proc", unix.Mount("proc", "/proc", "proc", 0, ""))
	must("mount /dev", unix.Mount("dev", "/dev", "devtmpfs", 0, ""))
	list, err := os.ReadFile("/" + ModuleList)
	must("read the list of modules", err)
	for _, path := range strings.Fields(string(list)) {
		f, err := os.Open(path)
		must("open "+path, err)
		must("load "+path, unix.FinitModule(int(f.Fd()), "", 0))
		f.Close()
	}
	for _, dir := range []string{"/lower", "/upper", "/new"} {
		must("make "+dir, os.Mkdir(dir, 0o755))
	}
	disk := os.Getenv("PERDURE_LAB_GUEST")
	for range 100 { // the disk is found beside us
		if err = unix.Mount(disk, "/lower", "squashfs", unix.MS_RDONLY, ""); err == nil {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	must("mount the root", err)
	must("mount a tmpfs", unix.Mount("tmpfs", "/upper", "tmpfs", 0, ""))
	must("make upper", os.Mkdir("/upper/u", 0o755))
	must("make work", os.Mkdir("/upper/w", 0o755))
	must("mount the overlay", unix.Mount("overlay", "/new", "overlay", 0, "lowerdir=/lower,upperdir=/upper/u,workdir=/upper/w"))
	for _, fs := range []struct{ source, dir, kind string }{{"proc", "/new/proc", "proc"}, {"sys", "/new/sys", "sysfs"}, {"dev", "/new/dev", "devtmpfs"}, {"run", "/new/run", "tmpfs"}} {
		must("mount "+fs.dir, unix.Mount(fs.source, fs.dir, fs.kind, 0, ""))
	}
	must("change root", unix.Chroot("/new"))
	must("change directory", os.Chdir("/"))
	kind := "qemu"
	if strings.Contains(disk, "ubd") {
		kind = "uml"
	}
	os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
	for _, c := range guestCommands {
		if !strings.Contains(c.kinds, kind) {
			continue
		}
		out, err := exec.Command("/bin/sh", "-c", c.command).CombinedOutput()
		verdict := "good"
		if err != nil {
			verdict = "BAD " + err.Error()
		}
		fmt.Printf("guest: %s: %s\n%s\n", verdict, c.command, out)
	}
	fmt.Println("guest: end")
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// TestBoot boots each kind; the guest looks whether the image has what the
// lab needs.
func TestBoot(t *testing.T) {
	if os.Getenv("PERDURE_LAB_IMAGES") == "" {
		t.Skip("SKIPPED: no virtual machine is booted: set PERDURE_LAB_IMAGES=1 (needs root)")
	}
	images, err := Make(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for kind, argv := range map[Kind][]string{
		UML: {images.Kernel[UML], "mem=192M", "con=null", "con0=null,fd:1", "ubd0r=" + images.Root, "raid6.benchmark=0", "quiet", "PERDURE_LAB_GUEST=/dev/ubda"},
		QEMU: {"qemu-system-x86_64", "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "256", "-nodefaults", "-no-user-config", "-no-reboot",
			"-display", "none", "-kernel", images.Kernel[QEMU], "-serial", "stdio", "-device", "i6300esb",
			"-drive", "if=none,id=root,file=" + images.Root + ",format=raw,readonly=on,file.locking=off", "-device", "virtio-blk-pci,drive=root",
			"-netdev", "user,id=n0,restrict=on", "-device", "virtio-net-pci,netdev=n0,romfile=", "-device", "virtio-serial-pci",
			"-append", "console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests no_timer_check rcupdate.rcu_expedited=1 random.trust_cpu=on net.ifnames=0 PERDURE_LAB_GUEST=/dev/vda"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			dir := t.TempDir()
			initrd := filepath.Join(dir, "initrd")
			if err := WriteInitrd(initrd, os.Args[0], images.Modules[kind]); err != nil {
				t.Fatal(err)
			}
			if kind == UML {
				argv = append(argv, "initrd="+initrd, "uml_dir="+dir+"/", "umid=test")
			} else {
				argv = append(argv, "-initrd", initrd)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET}
			began := time.Now()
			out, err := cmd.CombinedOutput()
			text := strings.ReplaceAll(string(out), "\r", "")
			t.Logf("%v, %v CPU: %v\n%s", time.Since(began).Round(time.Millisecond), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), err, text)
			if strings.Contains(text, "guest: BAD") || !strings.Contains(text, "guest: end") {
				t.Error("the guest isn't as it should be")
			}
		})
	}
}
