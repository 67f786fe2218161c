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
			// Next steps, and the texts that are steps themselves.
			if !strings.HasPrefix(field, "next_") && !(len(field) == 2 && strings.Contains(entry["en"], ": perdure ")) {
				continue
			}
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

var (
	named = regexp.MustCompile(`\bperdure `)
	// other is what stands before the name where it isn't the command: the
	// service or the program.
	other = regexp.MustCompile(`(start|-u|upgrade|update) $`)
)

// commandsIn finds the commands in a text, without their first word.
func commandsIn(text string) []string {
	var found []string
	for _, at := range named.FindAllStringIndex(text, -1) {
		before, part := text[:at[0]], text[at[1]:]
		if strings.HasPrefix(part, "…") || other.MatchString(before) {
			continue
		}
		if command := strings.TrimSpace(ends.Split(part, 2)[0]); command != "" {
			found = append(found, command)
		}
	}
	return found
}

// prose are words that follow a command in a sentence.
var prose = regexp.MustCompile(` (on|then|and|with|shows|lists|names|brings|if|in|from|after|by|to|stops|first|once|again|for|tells|at|before|or|instead|until|is|has)( .*)?$`)

// parses tries the command, and what is left of it without the sentence around.
func parses(parser *kong.Kong, command string) error {
	command = strings.ReplaceAll(command, "join{1}", "join") // a flag, or nothing
	command = strings.TrimSuffix(strings.TrimSuffix(placeholder.ReplaceAllString(command, "x"), "."), " …")
	if command == "--help" {
		return nil
	}
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
