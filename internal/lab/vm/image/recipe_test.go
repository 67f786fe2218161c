package image

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestKey(t *testing.T) {
	base := inputs{codename: "bookworm", versions: map[Kind]string{QEMU: "linux-image-1=2", UML: "user-mode-linux=3"}}
	both := []Kind{QEMU, UML}
	key := base.key(both)
	if again := base.key(both); again != key {
		t.Errorf("keys of the same inputs: %s and %s", key, again)
	}
	for what, in := range map[string]inputs{
		"the release":     {codename: "trixie", versions: base.versions},
		"QEMU's kernel":   {codename: "bookworm", versions: map[Kind]string{QEMU: "linux-image-1=3", UML: "user-mode-linux=3"}},
		"UML's kernel":    {codename: "bookworm", versions: map[Kind]string{QEMU: "linux-image-1=2", UML: "user-mode-linux=4"}},
		"swapped kernels": {codename: "bookworm", versions: map[Kind]string{UML: "linux-image-1=2", QEMU: "user-mode-linux=3"}},
	} {
		if in.key(both) == key {
			t.Errorf("with another value of %s the key is the same", what)
		}
	}
	if base.key([]Kind{UML}) == key {
		t.Error("with fewer kinds the key is the same")
	}
	other := inputs{codename: "bookworm", versions: map[Kind]string{QEMU: "linux-image-1=9", UML: "user-mode-linux=3"}}
	if base.key([]Kind{UML}) != other.key([]Kind{UML}) {
		t.Error("the key of UML's image depends on QEMU's kernel")
	}
}

// TestKeyFollowsRecipe changes each file of the recipe.
func TestKeyFollowsRecipe(t *testing.T) {
	in := inputs{codename: "bookworm"}
	key := in.key(kinds)
	files, err := recipe.ReadDir("recipe")
	if err != nil || len(files) < 4 {
		t.Fatalf("the recipe has %d files: %v", len(files), err)
	}
	for _, changed := range files {
		fsys := make(fstest.MapFS)
		for _, f := range files {
			text := recipeFile(f.Name())
			if f.Name() == changed.Name() {
				text += "\n"
			}
			fsys["recipe/"+f.Name()] = &fstest.MapFile{Data: []byte(text)}
		}
		if in.keyOf(kinds, fsys) == key {
			t.Errorf("with another %s the key is the same", changed.Name())
		}
	}
}

func TestRecipe(t *testing.T) {
	for _, p := range recipeList("packages.txt") {
		if strings.ContainsAny(p, " ,/#") {
			t.Errorf("packages.txt: %q is no package", p)
		}
	}
	for _, d := range recipeList("unwanted.txt") {
		if !strings.HasPrefix(d, "kernel/") {
			t.Errorf("unwanted.txt: %q is outside of kernel/", d)
		}
	}
}

func TestNormalize(t *testing.T) {
	for _, c := range []struct {
		in   []Kind
		want string
	}{
		{nil, "qemu, uml"}, {[]Kind{UML, QEMU, UML}, "qemu, uml"}, {[]Kind{UML}, "uml"},
	} {
		if got, err := normalize(c.in); err != nil || join(got) != c.want {
			t.Errorf("%v: %v %v", c.in, got, err)
		}
	}
	if _, err := normalize([]Kind{"vmware"}); err == nil || !strings.Contains(err.Error(), "vmware") {
		t.Errorf("an unknown kind: %v", err)
	}
}
