package resident

import (
	"slices"
	"strings"
	"testing"
)

const smaps = `00400000-00a95000 r-xp 00000000 fe:00 131081                             /opt/my program/perdure
Size:               6740 kB
Rss:                2816 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00a95000-01412000 r--p 00695000 fe:00 131081                             /opt/my program/perdure
Rss:                5004 kB
Anonymous:             4 kB
01412000-01413000 r--p 00695000 fe:00 131081                             /opt/my program/perdure
Anonymous:             0 kB
01413000-014a4000 rw-p 01012000 fe:00 131081                             /opt/my program/perdure
Anonymous:             0 kB
02000000-02001000 r--s 00000000 fe:00 131081                             /opt/my program/perdure
Anonymous:             0 kB
03000000-03001000 r-xp 00000000 fe:00 7                                  /lib/libc.so
Anonymous:             0 kB
7fff0000-7fff1000 r-xp 00000000 00:00 0                                  [vdso]
Anonymous:             0 kB
`

// TestPristine: nothing is given back that could differ from the file.
func TestPristine(t *testing.T) {
	got := pristine(strings.NewReader(smaps), "/opt/my program/perdure")
	if want := []mapping{{0x400000, 0xa95000}, {0x1412000, 0x1413000}}; !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestTrim: the program runs on.
func TestTrim(t *testing.T) {
	for range 3 {
		Trim()
		TestPristine(t)
	}
}
