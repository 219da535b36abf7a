package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"viplab/analysis/compare"
	"viplab/lab/explain"
	"viplab/lab/kernel"
	"viplab/lab/play"
	"viplab/lab/session"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/packet/dump"
	"viplab/results"
)

// complete gives the shells' completion (viplab completion SHELL) the values of flags and
// the names of scenarios; cobra knows commands and flags by itself.
func (a app) complete(root *cobra.Command) {
	values := a.values()
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			of, ok := values[cmd.Name()+" "+flag.Name]
			if !ok {
				of, ok = values[flag.Name]
			}
			if ok {
				_ = cmd.RegisterFlagCompletionFunc(flag.Name, list(of)) // fails for an unknown flag or twice: neither can be
			}
		})
		if cmd.Name() == "scenario" {
			cmd.ValidArgsFunction = a.scenarioNames
		}
	}
}

// values are those of flags that take one of a few, by flag, or by command and flag where a
// command takes others.
func (a app) values() map[string]func() []string {
	of := func(words ...string) func() []string { return func() []string { return words } }
	one := of(string(modes.IPv4), string(modes.IPv6))
	values := map[string]func() []string{
		"modes":           a.modes.Names,
		"mode":            a.modes.Names,
		"testbed":         func() []string { return append([]string{testbed.Auto}, testbed.Names()...) },
		"kernel":          kernelNames,
		"progress":        of(session.ProgressAuto, session.ProgressPlain, session.ProgressNone),
		"family":          of(string(modes.IPv4), string(modes.IPv6), string(modes.Dual)),
		"explain family":  one,
		"simulate family": one,
		"format":          of("text", "json"),
		"compare format":  compare.Formats,
		"what":            (&simulateFlags{app: a}).questions,
		"on-missing":      of(session.OnMissingFail, session.OnMissingSkip, session.OnMissingFallback),
		"policy-packets":  trial.PolicyPackets,
		"packet":          func() []string { return append(explain.Cases(), "all") },
		"to":              of(trial.First, trial.Middle, trial.Last),
		"state":           dump.States,
	}
	across := []string{results.Kernel, results.Testbed}
	for _, p := range a.modes.Params() {
		across = append(across, p.Name)
		values[p.Name] = of(p.Values...)
	}
	values["across"] = of(across...)
	return values
}

// refuseShells lets cobra's command completion refuse what is no shell, for which it shows
// its help and ends well. It is made here, since it remembers where root writes to.
func refuseShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		var shells []string
		for _, shell := range cmd.Commands() {
			shell.Args = noArgs
			shells = append(shells, shell.Name())
		}
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("completion: unknown shell %q: valid are %s", args[0], strings.Join(shells, ", "))
			}
			return cmd.Help()
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
