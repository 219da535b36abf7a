package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"viplab/lab/kernel"
	"viplab/lab/play"
	"viplab/lab/session"
	"viplab/lab/testbed"
)

// complete gives the shells' completion (viplab completion SHELL) the values of flags and
// the names of scenarios; cobra knows commands and flags by itself.
func (a app) complete(root *cobra.Command) {
	values := map[string]func() []string{
		"modes":    a.modes.Names,
		"mode":     a.modes.Names,
		"testbed":  func() []string { return append([]string{testbed.Auto}, testbed.Names()...) },
		"kernel":   kernelNames,
		"progress": func() []string { return []string{session.ProgressAuto, session.ProgressPlain, session.ProgressNone} },
	}
	for _, p := range a.modes.Params() {
		values[p.Name] = func() []string { return p.Values }
	}
	for _, cmd := range root.Commands() {
		for _, flag := range slices.Sorted(maps.Keys(values)) {
			if cmd.Flags().Lookup(flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, list(values[flag])) // fails for an unknown flag or twice: neither can be
			}
		}
		if cmd.Name() == "scenario" {
			cmd.ValidArgsFunction = a.scenarioNames
		}
	}
}

// list completes the last value of a list that commas separate.
func list(values func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndex(typed, ",")+1]
		given := strings.Split(before, ",")
		var all []cobra.Completion
		for _, v := range values() {
			if !slices.Contains(given, v) && strings.HasPrefix(v, typed[len(before):]) {
				all = append(all, before+v)
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// kernelNames are those that kernel list names; none if the cache cannot be read.
func kernelNames() []string {
	names := []string{session.KernelAuto, kernel.Debian}
	all, err := kernel.List()
	if err != nil {
		return names
	}
	for _, k := range all {
		names = append(names, k.Name)
	}
	return names
}

func (a app) scenarioNames(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	scripts, err := play.All(a.modes)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var all []cobra.Completion
	for _, s := range scripts {
		if strings.HasPrefix(s.Name, typed) {
			all = append(all, cobra.CompletionWithDesc(s.Name, s.Question))
		}
	}
	return all, cobra.ShellCompDirectiveDefault // a script may be a file
}
