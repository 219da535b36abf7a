package report

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"al.essio.dev/pkg/shellescape"

	"viplab/results"
)

// again is how to get the run and its report again: by the command that was recorded
// with it, or else, of old runs, by its configuration.
func again(run *results.Run) []string {
	words := run.Command()
	if len(words) > 1 && words[1] == "report" {
		return []string{commandLine(words)}
	}
	program := "viplab"
	if len(words) > 0 {
		program = words[0]
	}
	report := commandLine([]string{program, "report", run.Source()}) + "   # plots and report from the same records"
	config := commandLine([]string{program, "bench", "--config", filepath.Join(run.Source(), results.ConfigFile)})
	switch {
	case slices.ContainsFunc(words, func(w string) bool { return w == "-" || strings.HasPrefix(w, "--") && strings.HasSuffix(w, "=-") }):
		return []string{config + "   # the same settings, with the run's copy of what came on standard input", report}
	case len(words) > 0:
		return []string{commandLine(withoutOut(words)), report}
	case len(run.Config) > 0:
		return []string{config + "   # the command was not recorded, but its settings were", report}
	}
	return []string{"# the command of this run was not recorded", report}
}

// withoutOut is a command without the directory that it wrote to: that is no longer empty, so
// that the same words would be refused.
func withoutOut(words []string) (out []string) {
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == "--out":
			i++
		case !strings.HasPrefix(words[i], "--out="):
			out = append(out, words[i])
		}
	}
	return out
}

// commandLine writes words so that a POSIX shell reads the same words.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellescape.Quote(w)
		if strings.ContainsFunc(w, unicode.IsControl) {
			quoted[i] = singleLine(w)
		}
	}
	return strings.Join(quoted, " ")
}

// singleLine quotes a word with control characters in it, of which the last must not be a
// line feed.
func singleLine(w string) string {
	var b strings.Builder
	for i := range len(w) {
		switch c := w[i]; {
		case c == '%':
			b.WriteString("%%")
		case c == '\'' || c == '\\' || c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return `"$(printf -- '` + b.String() + `')"`
}
