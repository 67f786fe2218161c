package image

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed recipe
var recipe embed.FS

// recipeVersion changes when this code makes something else from the same
// recipe. Change it with what builds: cached images are made anew.
const recipeVersion = 2

// inputs are what an image is made from. Two builds of equal inputs are
// interchangeable.
type inputs struct {
	codename string          // of the Debian release
	versions map[Kind]string // package and version of each kind's kernel
}

// key names the image made from in for ks.
func (in inputs) key(ks []Kind) string { return in.keyOf(ks, recipe) }

func (in inputs) keyOf(ks []Kind, recipe fs.FS) string {
	h := sha256.New()
	fmt.Fprintf(h, "version %d\ndebian %s\n", recipeVersion, in.codename)
	for _, k := range ks {
		fmt.Fprintf(h, "%s %s\nearly %s\n", k, in.versions[k], strings.Join(early[k], " "))
	}
	files, err := fs.Glob(recipe, "recipe/*")
	if err != nil {
		panic("the pattern of the recipe's files is wrong: " + err.Error())
	}
	for _, name := range files {
		text, err := fs.ReadFile(recipe, name)
		if err != nil {
			panic("a file of the recipe can't be read from the program: " + err.Error())
		}
		fmt.Fprintf(h, "file %s %d\n%s", name, len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// recipeFile is the text of a file of the recipe.
func recipeFile(name string) string {
	text, err := recipe.ReadFile("recipe/" + name)
	if err != nil {
		panic("a file of the recipe is missing in the program: " + err.Error())
	}
	return string(text)
}

// recipeList is the lines of a file of the recipe without comments.
func recipeList(name string) []string {
	return slices.DeleteFunc(strings.Split(recipeFile(name), "\n"), func(line string) bool {
		return line == "" || strings.HasPrefix(line, "#")
	})
}
