package report

import (
	"fmt"
	"path/filepath"
	"strings"

	"viplab/results"
)

// again is how to get the run and its report again: by the command that was recorded
// with it, or else, of old runs, by its configuration.
func again(run *results.Run) []string {
	words := run.Command()
	if len(words) > 1 && words[1] == "report" {
		return []string{commandLine(words)}
	}
	report := commandLine([]string{"viplab", "report", run.Dir}) + "   # plots and report from the same records"
	switch {
	case len(words) > 0:
		return []string{commandLine(words), report}
	case len(run.Config) > 0:
		config := commandLine([]string{"viplab", "bench", "--config", filepath.Join(run.Dir, results.ConfigFile)})
		return []string{config + "   # the command was not recorded, but its settings were", report}
	}
	return []string{"# the command of this run was not recorded", report}
}

// commandLine writes words so that a POSIX shell reads the same words.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsFunc(w, needsQuotes) {
			quoted[i] = fmt.Sprintf("'%s'", strings.ReplaceAll(w, "'", `'\''`))
		}
	}
	return strings.Join(quoted, " ")
}

// needsQuotes tells of characters which a shell might take for more than themselves.
func needsQuotes(r rune) bool {
	plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	return !plain
}
