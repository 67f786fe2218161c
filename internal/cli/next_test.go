package cli

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"
)

// placeholder is an argument of a message inside a command: {0}, {1}…
var placeholder = regexp.MustCompile(`\{\d+\}`)

// TestNextCommandsExist parses every command that the catalogue tells people to
// run, in both languages, as the command line would. Words in capitals stand
// for what only the reader knows.
func TestNextCommandsExist(t *testing.T) {
	parser, err := kong.New(&commands{}, kong.Name("perdure"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}),
		kong.Vars{"state_dir": defaultStateDir, "run_dir": defaultRunDir, "version": "dev"})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("../message/catalogue.toml")
	if err != nil {
		t.Fatal(err)
	}
	var catalogue map[string]map[string]string
	if err := toml.Unmarshal(file, &catalogue); err != nil {
		t.Fatal(err)
	}
	parsed := 0
	for code, entry := range catalogue {
		for field, text := range entry {
			for _, command := range commandsIn(text) {
				parsed++
				if err := parses(parser, command); err != nil {
					t.Errorf("%s %s: %q in %q: %v", code, field, "perdure "+command, text, err)
				}
			}
		}
	}
	if parsed < 200 {
		t.Errorf("only %d commands were found in the catalogue", parsed)
	}
}

// ends are what ends a command in a sentence; Japanese needs no blank there.
var ends = regexp.MustCompile(`[;,:()。、]|[^\x00-\x7F…]`)

// commandsIn finds the commands in a text, without their first word.
func commandsIn(text string) []string {
	var found []string
	for _, part := range regexp.MustCompile(`(?:^|[^\w/-])perdure `).Split(text, -1)[1:] {
		if strings.HasPrefix(part, "… ") || part == "…" {
			continue // the command that was just given
		}
		found = append(found, strings.TrimSpace(ends.Split(part, 2)[0]))
	}
	return found
}

// prose are words that follow a command in a sentence.
var prose = regexp.MustCompile(` (on|then|and|with|shows|lists|names|brings|if|in|from|after|by|to|stops|first|once|again|for|tells|at|before|or|instead|until|is|has)( .*)?$`)

// parses tries the command, and what is left of it without the sentence around.
func parses(parser *kong.Kong, command string) error {
	command = strings.TrimSuffix(strings.TrimSuffix(placeholder.ReplaceAllString(command, "x"), "."), " …")
	for {
		_, err := parser.Parse(strings.Fields(command))
		if err == nil {
			return nil
		}
		shorter := prose.ReplaceAllString(command, "")
		if shorter == command {
			return err
		}
		command = shorter
	}
}
