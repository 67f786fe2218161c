package filesystem

import (
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the filesystem kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Claimer         = Kit{}
	_ kit.Resource        = (*Filesystem)(nil)
	_ kit.Validator       = (*Filesystem)(nil)
	_ kit.Watcher         = (*Filesystem)(nil)
	_ kit.Standby         = (*Filesystem)(nil)
	_ kit.Adopter         = (*Filesystem)(nil)
)

// Policies of the check before a mount.
const (
	fsckAuto = "auto"
	fsckFull = "full"
	fsckNo   = "no"
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "filesystem" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "a file system on a disk, mounted where the hierarchy is in service", JA: "ディスク上のファイルシステム。稼働系ノードでマウントする"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "device", Type: kit.String, Required: true, Example: "UUID=6a1bb0d2-5d0c-4f3e-9a53-2b7c6a6d9c11",
			Help: kit.Text{EN: "the block device: a path below /dev, or UUID=, LABEL=, PARTUUID= or PARTLABEL=", JA: "ブロックデバイス。/dev 以下のパス、または UUID=、LABEL=、PARTUUID=、PARTLABEL= で指定"}},
		{Name: "mountpoint", Type: kit.String, Required: true, Example: "/srv/data",
			Help: kit.Text{EN: "where it is mounted, as a path without symbolic links; made if it isn't there", JA: "マウント先。シンボリックリンクを含まないパス。存在しない場合は作成する"}},
		{Name: "type", Type: kit.Enum, Default: "auto", Values: []string{"auto", "ext4", "xfs", "btrfs", "ext3", "ext2"}, Example: "xfs",
			Help: kit.Text{EN: "its type; auto: what the device says", JA: "種類。auto の場合はデバイスから判別する"}},
		{Name: "options", Type: kit.List, Example: "noatime,nodev",
			Help: kit.Text{EN: "mount options. Checks compare those that change what applications may do: ro, rw, sync, dirsync, noexec, nosuid, nodev, subvol, subvolid", JA: "マウントオプション。監視で比較するのは ro、rw、sync、dirsync、noexec、nosuid、nodev、subvol、subvolid のみ"}},
		{Name: "fsck", Type: kit.Enum, Default: fsckAuto, Values: []string{fsckAuto, fsckFull, fsckNo}, Example: fsckFull,
			Help: kit.Text{EN: "check before a mount. auto: ext2 to ext4 are preened unless the last owner unmounted; full: everything is read, which takes long; no: none", JA: "マウント前の検査。auto は前回正常に停止しなかった場合に ext2～ext4 を検査、full は全体を検査、no は行わない"}},
		{Name: "full.warning", Type: kit.Int, Default: "90", Min: "0", Max: "100", Example: "80",
			Help: kit.Text{EN: "percentage in use, of space or of inodes, from which it is degraded; 0: never", JA: "この使用率 (容量または inode、%) 以上で性能低下とする。0 の場合は判定しない"}},
		{Name: "full.error", Type: kit.Int, Default: "95", Min: "0", Max: "100", Example: "98",
			Help: kit.Text{EN: "percentage in use from which full.means applies; 0: never", JA: "この使用率 (%) 以上で full.means に従う。0 の場合は判定しない"}},
		{Name: "full.means", Type: kit.Enum, Default: "degraded", Values: []string{"degraded", "failed"}, Example: "failed",
			Help: kit.Text{EN: "what it means above full.error; another node has no more room on the same disk", JA: "full.error 以上のときの扱い。同じディスクなら別のノードでも空きは増えない"}},
		{Name: "write.check", Type: kit.Bool, Default: "yes", Example: "no",
			Help: kit.Text{EN: "deep checks write one block to .perdure-check and wait until the disk has it", JA: "詳細な監視で .perdure-check に 1 ブロックを書き込み、ディスクへの反映を待つ"}},
		{Name: "users.grace", Type: kit.Duration, Default: "5s", Min: "0s", Max: "1h", Example: "10s",
			Help: kit.Text{EN: "whoever uses the mount when it is unmounted is asked to end, and killed after this time", JA: "アンマウント時に使用中のプロセスに終了を求め、この時間を過ぎたら強制終了する"}},
		{Name: "check.interval", Type: kit.Duration, Default: "5s", Min: "50ms", Max: "1h", Example: "1s",
			Help: kit.Text{EN: "time between light checks, which only read the mount table; changes of it are noticed at once", JA: "軽い監視の間隔。マウントテーブルのみを確認する。変化は直ちに検知される"}},
		{Name: "deep.interval", Type: kit.Duration, Default: "30s", Min: "0s", Max: "24h", Example: "10s",
			Help: kit.Text{EN: "time between deep checks, which measure the space and write; 0s: none", JA: "詳細な監視の間隔。空き容量の確認と書き込みを行う。0s の場合は行わない"}},
		{Name: "start.timeout", Type: kit.Duration, Default: "2m", Min: "100ms", Max: "24h", Example: "10m",
			Help: kit.Text{EN: "check and mount together have failed when they take longer", JA: "検査とマウントの合計の制限時間"}},
		{Name: "stop.timeout", Type: kit.Duration, Default: "1m", Min: "100ms", Max: "24h", Example: "2m",
			Help: kit.Text{EN: "ending its users and unmounting have failed when they take longer", JA: "使用中のプロセスの終了とアンマウントの制限時間"}},
	}
}

// names are the words before = that a device may be found by.
var names = []string{"UUID", "LABEL", "PARTUUID", "PARTLABEL"}

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	device := v.String("device")
	by, value, named := strings.Cut(device, "=")
	switch {
	case strings.HasPrefix(device, "/"):
		if !strings.HasPrefix(device, "/dev/") || path.Clean(device) != device {
			return message.New(message.SettingDevice, k.Name(), device)
		}
	case !named || !slices.Contains(names, by) || value == "" || strings.ContainsAny(value, "/ \"'"):
		return message.New(message.SettingDevice, k.Name(), device)
	}
	at := v.String("mountpoint")
	if !path.IsAbs(at) || path.Clean(at) != at || at == "/" {
		return message.New(message.SettingPath, k.Name(), "mountpoint", at, "/srv/data")
	}
	for _, o := range v.List("options") {
		name, _, _ := strings.Cut(o, "=")
		if slices.Contains(refusedOptions, name) {
			return message.New(message.SettingOption, k.Name(), o)
		}
	}
	return nil
}

// Claims implements [kit.Claimer]: a device and a place are one resource's.
// Subvolumes of one btrfs are different things.
func (Kit) Claims(v kit.Values) []string {
	device := "device " + v.String("device")
	for _, o := range v.List("options") {
		if strings.HasPrefix(o, "subvol=") || strings.HasPrefix(o, "subvolid=") {
			device += " " + o
		}
	}
	return []string{device, "mount point " + v.String("mountpoint")}
}

// New implements [kit.Kit].
func (k Kit) New(in kit.Instance) (kit.Resource, error) {
	if runtime.GOOS != "linux" {
		return nil, message.New(message.KitNotHere, k.Name(), runtime.GOOS)
	}
	return &Filesystem{in: in}, nil
}
