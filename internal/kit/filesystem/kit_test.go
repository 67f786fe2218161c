package filesystem

import (
	"slices"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestSettings(t *testing.T) {
	for _, c := range []struct{ set, code string }{
		{"device=/dev/sdb1 mountpoint=/srv/x", ""},
		{"device=UUID=1234-ABCD mountpoint=/srv/x options=noatime,subvol=@data", ""},
		{"device=/dev/../etc/passwd mountpoint=/srv/x", message.SettingDevice},
		{"device=/srv/image mountpoint=/srv/x", message.SettingDevice},
		{"device=NAME=x mountpoint=/srv/x", message.SettingDevice},
		{"device=UUID= mountpoint=/srv/x", message.SettingDevice},
		{"device=UUID=a/b mountpoint=/srv/x", message.SettingDevice},
		{"device=/dev/sdb1 mountpoint=srv", message.SettingPath},
		{"device=/dev/sdb1 mountpoint=/", message.SettingPath},
		{"device=/dev/sdb1 mountpoint=/srv/../etc", message.SettingPath},
		{"device=/dev/sdb1 mountpoint=/srv/", message.SettingPath},
		{"device=/dev/sdb1 mountpoint=/srv/x options=rw,bind", message.SettingOption},
		{"device=/dev/sdb1 mountpoint=/srv/x options=loop=/dev/loop1", message.SettingOption},
	} {
		given := map[string]string{}
		for _, w := range strings.Fields(c.set) {
			k, v, _ := strings.Cut(w, "=")
			given[k] = v
		}
		_, err := kit.Parse(Kit{}, given)
		if c.code == "" && err != nil || c.code != "" && !message.Has(err, c.code) {
			t.Errorf("%s: %v, want %q", c.set, err, c.code)
		}
	}
}

func TestMissing(t *testing.T) {
	for _, c := range []struct{ wanted, actual, missing string }{
		{"", "rw,relatime", ""},
		{"noatime,discard,errors=panic", "rw,relatime", ""},
		{"nosuid,nodev", "rw,nodev", "nosuid"},
		{"nosuid,suid", "rw", ""},
		{"nosuid,defaults", "rw", ""},
		{"suid,nosuid", "rw", "nosuid"},
		{"ro", "rw", "ro"},
		{"ro", "ro", ""},
		{"sync", "rw,sync", ""},
		{"subvol=a", "rw,subvolid=256,subvol=/a", ""},
		{"subvol=/a", "rw,subvolid=256,subvol=/b", "subvol=/a"},
		{"subvolid=5", "rw,subvolid=256", "subvolid=5"},
	} {
		got := strings.Join(missing(words(c.wanted), words(c.actual)), ",")
		if got != c.missing {
			t.Errorf("wanted %q, have %q: missing %q, want %q", c.wanted, c.actual, got, c.missing)
		}
	}
	if !isReadOnly(words("rw,emergency_ro")) || isReadOnly(words("rw,errors=remount-ro")) {
		t.Error("read-only is not told from an option with ro in it")
	}
}

func TestClaims(t *testing.T) {
	claims := func(device, options string) []string {
		v, err := kit.Parse(Kit{}, map[string]string{"device": device, "mountpoint": "/srv/x", "options": options})
		if err != nil {
			t.Fatal(err)
		}
		return Kit{}.Claims(v)
	}
	if slices.Contains(claims("/dev/sdb", "subvol=a"), claims("/dev/sdb", "subvol=b")[0]) {
		t.Error("two subvolumes are the same claim")
	}
	if claims("/dev/sdb", "ro")[0] != claims("/dev/sdb", "")[0] {
		t.Error("an option makes another device")
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		used, left uint64
		want       int
	}{{0, 0, 0}, {0, 10, 0}, {1, 999, 1}, {90, 10, 90}, {901, 99, 91}, {10, 0, 100}} {
		if got := percent(c.used, c.left); got != c.want {
			t.Errorf("%d used, %d left: %d, want %d", c.used, c.left, got, c.want)
		}
	}
}

func words(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
