package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"viplab/analysis/plots"
	"viplab/analysis/summary"
	"viplab/lab/reproduce"
	"viplab/lab/session"
	"viplab/lab/testbed"
	"viplab/modes"
	"viplab/results"
	"viplab/results/published"
)

type reproduceFlags struct {
	app
	list, quick            bool
	out, testbed, progress string
	targets                []reproduce.Target
	rounds                 int
	maxTime                time.Duration
	kernels                []string
	stdout, stderr         io.Writer
}

func (a app) reproduceCommand() *cobra.Command {
	f := reproduceFlags{app: a}
	cmd := &cobra.Command{
		Use:   "reproduce [TARGET ...]",
		Short: "Measure again what others published, and say whether it comes out the same",
		Long: `reproduce runs the experiments behind published tables and plots (R1, R2 ... or
all), sets what it measured beside them, and gives a verdict made from the data: same
shape, same level, not reproduced, cannot be compared. Experiments that are already
in the directory given by --out are taken from there. The exit code is 1 if anything
was not reproduced. An experiment that this machine cannot run (a kernel or the real
kube-proxy that was not built) is left out, and the verdict says why.`,
		Example: `  viplab reproduce --list
  viplab reproduce R1 R4
  viplab reproduce all --quick
  viplab reproduce R14 --kernel 6.1,7.3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.stdout, f.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			if f.list {
				return f.printList()
			}
			if len(args) == 0 {
				return usagef("reproduce needs a target: all, or R1, R2 ... (see reproduce --list)")
			}
			var err error
			if f.targets, err = reproduce.Find(args); err != nil {
				return usageError{err}
			}
			return f.run(cmd.Context())
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.list, "list", false, "list the targets and where they come from")
	fl.BoolVar(&f.quick, "quick", false, "small sizes and one round: a look, without intervals")
	fl.StringVar(&f.out, "out", "", "directory for runs, verdicts and plots (default "+runsDir+"/reproduce-TIME)")
	fl.StringVar(&f.testbed, "testbed", testbed.Auto, "where trials run: auto, "+strings.Join(testbed.Names(), ", "))
	fl.IntVar(&f.rounds, "repeat", 0, "rounds of each experiment (default 5, quick 1)")
	fl.DurationVar(&f.maxTime, "max-time", 0, "end each experiment after this time (default an hour, quick 5m)")
	fl.StringSliceVar(&f.kernels, "kernel", nil, "kernels of the guest, in turn, for what is about kernels (R14: default "+strings.Join(reproduce.KernelsCompared(), ", ")+"); one alone is for the other experiments")
	fl.StringVar(&f.progress, "progress", session.ProgressAuto, "progress on stderr: auto, plain, none")
	return cmd
}

func (f *reproduceFlags) printList() error {
	sources, err := published.Sources()
	if err != nil {
		return err
	}
	for _, t := range reproduce.Targets() {
		i := slices.IndexFunc(sources, func(s published.Source) bool { return s.Target == t.ID })
		how := "experiments: " + strings.Join(t.Experiments(), ", ")
		if t.CannotRun != "" {
			how = "cannot be run: " + t.CannotRun
		}
		fmt.Fprintf(f.stdout, "%-4s %s\n     from %s\n     %s\n", t.ID, sources[i].Title, sources[i].From, how)
	}
	return f.printExperiments()
}

// printExperiments lists what the targets need, and how long that takes.
func (f *reproduceFlags) printExperiments() error {
	full, quick := reproduce.Experiments(f.modes, false), reproduce.Experiments(f.modes, true)
	fmt.Fprintf(f.stdout, "\nExperiments end by themselves after --max-time. They take, by a rough guess:\n")
	for i, e := range full {
		takes, err := e.Config.Takes(f.modes)
		if err != nil {
			return err
		}
		inShort, err := quick[i].Config.Takes(f.modes)
		if err != nil {
			return err
		}
		fmt.Fprintf(f.stdout, "%-9s %s\n          about %g min, at most %g; --quick: about %g min, at most %g\n",
			e.Name, e.About, takes.Minutes(), e.Config.MaxTime.Minutes(), inShort.Minutes(), quick[i].Config.MaxTime.Minutes())
	}
	return nil
}

func (f *reproduceFlags) run(ctx context.Context) error {
	if f.rounds < 0 || f.rounds > 1000 || f.maxTime < 0 {
		return usagef("repeat must be 1 to 1000 and max-time not negative, got %d and %s", f.rounds, f.maxTime)
	}
	if f.out == "" {
		f.out = filepath.Join(runsDir, "reproduce-"+time.Now().UTC().Format("20060102T150405Z"))
	}
	runs, missing := reproduce.Runs{}, map[string]error{}
	var about []string
	for _, e := range reproduce.Experiments(f.modes, f.quick) {
		if !slices.ContainsFunc(f.targets, func(t reproduce.Target) bool { return slices.Contains(t.Experiments(), e.Name) }) {
			continue
		}
		run, err := f.experimentRun(ctx, e)
		if modes.IsMissing(err) {
			fmt.Fprintf(f.stderr, "experiment %s is left out: %v\n", e.Name, err)
			missing[e.Name] = err
			continue
		}
		if err != nil {
			return fmt.Errorf("experiment %s: %w", e.Name, err)
		}
		s, err := summary.Of(run)
		if err != nil {
			return err
		}
		runs[e.Name] = s
		about = append(about, fmt.Sprintf("%s: %s; testbed %s, kernel %s, %d × %s, %s; `%s`", e.Name, e.About,
			run.Env.Testbed, run.Env.Kernel, run.Env.CPUs, run.Env.CPU, run.Env.Time.Format("2006-01-02"), run.Dir))
	}
	if len(runs) == 0 && len(missing) > 0 {
		return errors.Join(slices.Collect(maps.Values(missing))...)
	}
	outcomes, err := reproduce.Judge(f.targets, runs, missing)
	if err != nil {
		return err
	}
	return f.conclude(outcomes, about)
}

// experimentRun runs an experiment, or goes on with or takes what is in the
// directory already.
func (f *reproduceFlags) experimentRun(ctx context.Context, e reproduce.Experiment) (*results.Run, error) {
	dir, err := below(f.out, e.Name)
	if err != nil {
		return nil, err
	}
	c := e.Config
	c.Testbed = f.testbed
	if f.maxTime > 0 {
		c.MaxTime = f.maxTime
	}
	if about := len(c.Kernels) > 1; len(f.kernels) > 0 && about == (len(f.kernels) > 1) {
		c.Kernels = f.kernels
	}
	if f.rounds > 0 {
		c.Repeat = f.rounds
	}
	if err := c.Validate(f.modes); err != nil {
		return nil, usageError{err}
	}
	s := f.session(c, true)
	s.Dir = dir
	if session.Begun(dir) {
		if err := s.Load(); err != nil {
			return nil, usageError{err}
		}
	} else if err := f.checkOut(&s.Dir); err != nil {
		return nil, err
	}
	fmt.Fprintf(f.stderr, "experiment %s: %s\n", e.Name, e.About)
	out, err := f.play(ctx, s, f.progress, f.stderr)
	err = verdict(s, out, err, f.stderr)
	run, openErr := results.Open(dir)
	if err != nil && (ctx.Err() != nil || openErr != nil || len(run.Finished()) == 0) {
		return nil, err
	}
	if err != nil {
		// What was measured is worth its verdict; a later call goes on with the rest.
		fmt.Fprintf(f.stderr, "experiment %s: %v\n", e.Name, err)
	}
	return run, openErr
}

// conclude writes verdicts and plots.
func (f *reproduceFlags) conclude(outcomes []reproduce.Outcome, about []string) error {
	pictures := map[string]bool{}
	for _, o := range outcomes {
		p := o.Picture()
		if p.Empty() {
			continue
		}
		if err := writePicture(f.out, p); err != nil {
			return err
		}
		pictures[o.Target.ID] = true
	}
	if err := results.WriteFile(f.out, "reproduce.md", reproduce.Markdown(outcomes, about, pictures)); err != nil {
		return err
	}
	b, err := json.MarshalIndent(outcomes, "", "  ")
	if err != nil {
		return fmt.Errorf("encode verdicts: %w", err)
	}
	if err := results.WriteFile(f.out, "reproduce.json", append(b, '\n')); err != nil {
		return err
	}
	for _, o := range outcomes {
		if o.CannotRun != "" {
			fmt.Fprintf(f.stdout, "%s: not run, because it %s\n", o.Target.ID, o.CannotRun)
		}
		for _, r := range o.Rows {
			beside := ""
			if r.What != "" {
				beside = ", beside " + r.What
			}
			fmt.Fprintf(f.stdout, "%s %s (%s)%s: %s; %s\n", r.Target, r.Series, r.Provenance, beside, r.Kind, r.Why)
		}
	}
	fmt.Fprintln(f.stdout, filepath.Join(f.out, "reproduce.md"))
	if failed := reproduce.Failed(outcomes); len(failed) > 0 {
		return thresholdError{fmt.Errorf("%d series were not reproduced, the first: %s %s", len(failed), failed[0].Target, failed[0].Series)}
	}
	if !slices.ContainsFunc(outcomes, reproduce.Outcome.Compared) {
		return thresholdError{errors.New("nothing could be compared with what was published")}
	}
	return nil
}

// writePicture writes a picture as SVG, PNG and CSV.
func writePicture(dir string, p plots.Picture) error {
	for ext, render := range map[string]func() ([]byte, error){
		".svg": func() ([]byte, error) { return plots.SVG(p) }, ".png": func() ([]byte, error) { return plots.PNG(p) }, ".csv": p.CSV,
	} {
		b, err := render()
		if err != nil {
			return err
		}
		if err := results.WriteFile(dir, filepath.Join(results.PlotsDir, p.Name+ext), b); err != nil {
			return err
		}
	}
	return nil
}
