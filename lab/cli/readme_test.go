package cli

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

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
		root := app{modes: catalog.Known()}.rootCommand()
		cmd, rest, err := root.Find(strings.Fields(line))
		if err != nil || cmd == root {
			t.Errorf("%s: no such command (%v)", line, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil && !errors.Is(err, pflag.ErrHelp) {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
