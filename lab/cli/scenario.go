package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"viplab/analysis/summary"
	"viplab/lab/bench"
	"viplab/lab/scenario"
	"viplab/lab/testbed"
	"viplab/modes/catalog"
	"viplab/results"
)

type scenarioFlags struct {
	list                   bool
	out, testbed, progress string
	modes                  []string
	seed                   uint64
	quick                  bool
}

func scenarioCommand() *cobra.Command {
	f := scenarioFlags{seed: 1}
	cmd := &cobra.Command{
		Use:   "scenario NAME...",
		Short: "Change Services under traffic, and hold what clients see against what is expected",
		Long: `scenario plays scripts of steps in each mode, with mode direct as the control:
endpoints that come and go, drains, full rewrites, somebody else holding a lock, under
steady traffic. Each names what it expects; the exit code is 1 if that does not come.
A script is a short text file; NAME may be one of your own (see --list for examples).`,
		Example: `  viplab scenario --list
  viplab scenario rolling-update scale-out-reuse
  viplab scenario all
  viplab scenario --modes ipvs ./my-scenario.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.list {
				return listScenarios(cmd.OutOrStdout())
			}
			if len(args) == 0 {
				return usagef("scenario needs a name, a file, or all (see scenario --list)")
			}
			return f.run(cmd.Context(), args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.list, "list", false, "list the scenarios and their questions")
	fl.StringVar(&f.out, "out", "", "directory for runs, verdicts and plots (default "+runsDir+"/scenario-TIME)")
	fl.StringVar(&f.testbed, "testbed", testbed.Auto, "where trials run: auto, native, uml")
	fl.StringSliceVar(&f.modes, "modes", nil, "modes to play in (default: those that the scenario names, or all)")
	fl.BoolVar(&f.quick, "quick", false, "wait a third as long between steps: under a minute for each scenario")
	fl.Uint64Var(&f.seed, "seed", f.seed, "seed of addresses and order")
	fl.StringVar(&f.progress, "progress", bench.ProgressAuto, "progress on stderr: auto, plain, none")
	return cmd
}

func listScenarios(w io.Writer) error {
	all, err := scenario.All()
	if err != nil {
		return err
	}
	for _, s := range all {
		fmt.Fprintf(w, "%-26s %s\n", s.Name, s.Question)
	}
	return nil
}

func (f *scenarioFlags) run(ctx context.Context, names []string, stdout, stderr io.Writer) error {
	var scripts []scenario.Script
	if slices.Contains(names, "all") {
		all, err := scenario.All()
		if err != nil {
			return err
		}
		scripts = all
	} else {
		for _, n := range names {
			s, err := scenario.Find(n)
			if err != nil {
				return usageError{err}
			}
			scripts = append(scripts, s)
		}
	}
	for _, m := range f.modes {
		if _, err := catalog.Find(m); err != nil {
			return usageError{err}
		}
	}
	if f.out == "" {
		f.out = filepath.Join(runsDir, "scenario-"+time.Now().UTC().Format("20060102T150405Z"))
	}
	var all bytes.Buffer
	failed, checks := 0, 0
	for _, s := range scripts {
		o, err := f.play(ctx, s, stderr)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", s.Name, err)
		}
		if err := o.Write(io.MultiWriter(&all, stdout)); err != nil {
			return err
		}
		if p := o.Picture(); !p.Empty() {
			if err := writePicture(f.out, p); err != nil {
				return err
			}
		}
		failed, checks = failed+len(o.Failed()), checks+len(o.Checks)
	}
	if err := results.WriteFile(f.out, "scenario.md", all.Bytes()); err != nil {
		return err
	}
	fmt.Fprintln(stdout, filepath.Join(f.out, "scenario.md"))
	if failed > 0 {
		return thresholdError{fmt.Errorf("%d of %d expectations did not hold", failed, checks)}
	}
	return nil
}

// play plays one scenario in all its modes.
func (f *scenarioFlags) play(ctx context.Context, s scenario.Script, stderr io.Writer) (scenario.Outcome, error) {
	if f.quick {
		s = s.Shorter(1. / 3)
	}
	c := bench.Default()
	c.Services, c.Endpoints, c.Modes, c.Rounds, c.Seed = []int{s.Services}, s.Endpoints, s.Modes, 1, f.seed
	if len(f.modes) > 0 {
		c.Modes = f.modes
	}
	c.Testbed, c.Script = f.testbed, &s
	b := benchFlags{Config: c, out: filepath.Join(f.out, s.Name), progress: f.progress}
	if err := b.Validate(); err != nil {
		return scenario.Outcome{}, usageError{err}
	}
	if err := b.checkOut(); err != nil {
		return scenario.Outcome{}, err
	}
	fmt.Fprintf(stderr, "scenario %s: %s\n", s.Name, s.Question)
	if err := b.run(ctx, io.Discard, stderr); err != nil {
		return scenario.Outcome{}, err
	}
	run, err := results.Open(b.out)
	if err != nil {
		return scenario.Outcome{}, err
	}
	sum, err := summary.Make(run.Records)
	if err != nil {
		return scenario.Outcome{}, err
	}
	return scenario.Judge(s, sum), nil
}
