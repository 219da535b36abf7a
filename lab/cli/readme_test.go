package cli

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"viplab/modes"
	"viplab/modes/catalog"
)

// TestReadmeCommands: what README shows is a command with flags and arguments that it takes.
func TestReadmeCommands(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^ {4}\./viplab (.*)$`).FindAllStringSubmatch(string(b), -1)
	if len(lines) < 10 {
		t.Fatalf("%d commands in README.md", len(lines))
	}
	for _, m := range lines {
		line, _, _ := strings.Cut(m[1], "#")
		takes(t, line)
	}
}

// takes holds a line to the flags and arguments that its command takes.
func takes(t *testing.T, line string) {
	t.Helper()
	root := app{modes: catalog.Known()}.rootCommand()
	cmd, rest, err := root.Find(strings.Fields(line))
	if err != nil || cmd == root {
		t.Errorf("%s: no such command (%v)", line, err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil && !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("%s: %v", line, err)
		return
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// TestParamsInDocs: a row of docs/scenarios.md that is of a mode's parameter has all of its
// values.
func TestParamsInDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	known := catalog.Known()
	rows := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (.*) \\|$").FindAllStringSubmatch(string(page), -1)
	if len(rows) < 5 {
		t.Fatalf("%d parameters", len(rows))
	}
	notes := regexp.MustCompile(`\([^)]*\)`)
	for _, row := range rows {
		i := slices.IndexFunc(known.Params(), func(p modes.Param) bool { return p.Name == row[1] })
		if i < 0 {
			t.Errorf("no mode has a parameter %s", row[1])
			continue
		}
		// A value may have a note in brackets, and is in a list by commas or semicolons.
		words := strings.FieldsFunc(notes.ReplaceAllString(row[2], ""), func(r rune) bool { return r == ',' || r == ';' })
		for j := range words {
			words[j] = strings.TrimSpace(words[j])
		}
		for _, v := range known.Params()[i].Values {
			if !slices.Contains(words, v) {
				t.Errorf("the row of --%s lacks %s: it has %q", row[1], v, words)
			}
		}
	}
}

// TestWorkflow: the workflow that docs/automation.md shows is YAML, and calls targets and
// commands that are there.
func TestWorkflow(t *testing.T) {
	page, err := os.ReadFile("../../docs/automation.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("no workflow on the page")
	}
	var flow struct {
		Jobs map[string]struct{ Steps []struct{ Run string } }
	}
	if err := yaml.Unmarshal(block[1], &flow); err != nil {
		t.Fatal(err)
	}
	made, called := 0, 0
	for _, step := range flow.Jobs["compare"].Steps {
		if m := regexp.MustCompile(`make -C \S+ (\w+)(?: ARGS='(.*)')?`).FindStringSubmatch(step.Run); m != nil {
			made++
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
				t.Errorf("%s: the Makefile has no target %s", step.Run, m[1])
			}
			takes(t, "bench "+m[2])
		}
		if m := regexp.MustCompile(`viplab ([^>;]*)`).FindStringSubmatch(step.Run); m != nil {
			called++
			takes(t, m[1])
		}
	}
	if made != 2 || called != 2 {
		t.Errorf("%d steps measure and %d call viplab, want 2 and 2", made, called)
	}
}
