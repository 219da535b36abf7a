package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"viplab/analysis/summary"
	"viplab/lab/play"
	"viplab/lab/session"
	"viplab/lab/testbed"
	"viplab/modes"
	"viplab/modes/snapshot/kube"
	"viplab/results"
)

// quickWait is how long a shortened wait still is: clients that reuse ports come to each again.
const quickWait = 800 * time.Millisecond

type scenarioFlags struct {
	app
	list                   bool
	out, testbed, progress string
	only                   []string // modes
	seed                   uint64
	kernels                []string
	from, node             string    // of a cluster
	stdin                  io.Reader // that --from may read
	quick, json, travel    bool
}

func (a app) scenarioCommand() *cobra.Command {
	f := scenarioFlags{app: a, seed: 1, kernels: []string{session.KernelAuto}}
	cmd := &cobra.Command{
		Use:   "scenario NAME...",
		Short: "Change Services under traffic, and hold what clients see against what is expected",
		Long: `scenario plays scripts of steps in each mode, with mode direct as the control:
endpoints that come and go, drains, full rewrites, somebody else holding a lock, under
steady traffic. Each names what it expects; the exit code is 1 if that does not come.
Of all, those are skipped for which this machine lacks something; the exit code is 4 then.
A script is a short text file; NAME may be one of your own (see --list for examples).`,
		Example: `  viplab scenario --list
  viplab scenario rolling-update scale-out-reuse
  viplab scenario all
  viplab scenario --modes ipvs ./my-scenario.txt
  viplab scenario --from cluster.yaml rolling-update
  viplab scenario --time-travel all   # in the time that it takes to compute`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.list {
				return f.writeList(cmd.OutOrStdout())
			}
			if len(args) == 0 {
				return usagef("scenario needs a name, a file, or all (see scenario --list)")
			}
			f.stdin = cmd.InOrStdin()
			return f.run(cmd.Context(), args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.list, "list", false, "list the scenarios and their questions")
	fl.StringVar(&f.out, "out", "", "directory for runs, verdicts and plots (default "+runsDir+"/scenario-TIME)")
	fl.StringVar(&f.testbed, "testbed", testbed.Auto, "where trials run: auto, "+strings.Join(testbed.Names(), ", "))
	fl.StringSliceVar(&f.only, "modes", nil, "modes to play in (default: those that the scenario names, or all)")
	fl.StringSliceVar(&f.kernels, "kernel", f.kernels, "kernels of the guest, as viplab kernel list names them, or paths")
	registerFrom(fl, &f.from, &f.node)
	fl.BoolVar(&f.travel, "time-travel", false, "play it in a guest whose time passes by itself: waiting takes no time, and costs are not measured")
	fl.BoolVar(&f.quick, "quick", false, "wait a third as long between steps: a minute at most for each scenario")
	fl.Uint64Var(&f.seed, "seed", f.seed, "seed of addresses and order")
	fl.BoolVar(&f.json, "json", false, "write JSON to stdout, and the text to scenario.md alone")
	fl.StringVar(&f.progress, "progress", session.ProgressAuto, "progress on stderr: auto, plain, none")
	return cmd
}

func (f *scenarioFlags) writeList(w io.Writer) error {
	all, err := play.All(f.modes)
	if err != nil {
		return err
	}
	if f.json {
		var list []map[string]any
		for _, s := range all {
			list = append(list, map[string]any{results.ScenarioName: s.Name, "question": s.Question, "modes": s.Modes,
				"patient": s.Patient, "length_seconds": s.Length().Seconds()})
		}
		return writeJSON(w, list)
	}
	for _, s := range all {
		note := ""
		if s.Patient {
			note = fmt.Sprintf(" (waits for %s: best with --time-travel)", s.Length())
		}
		fmt.Fprintf(w, "%-26s %s%s\n", s.Name, s.Question, note)
	}
	return nil
}

// everyScenario stands for all of them.
const everyScenario = "all"

func (f *scenarioFlags) run(ctx context.Context, names []string, stdout, stderr io.Writer) error {
	scripts, err := f.scripts(names)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(scripts, func(s play.Script) bool { return s.Patient }) && !f.travel {
		fmt.Fprintln(stderr, "waiting is the point of it, for minutes in each mode; with --time-travel that takes no time")
	}
	if f.from == kube.Stdin && len(scripts) > 1 {
		return usagef("standard input can be read for one scenario, not for %d: name a file", len(scripts))
	}
	for _, m := range f.only {
		if _, err := f.modes.Find(m); err != nil {
			return usageError{err}
		}
	}
	all := slices.Contains(names, everyScenario)
	if scripts, err = f.playable(scripts, all, stderr); err != nil { // before the first one is played
		return err
	}
	if f.out == "" {
		f.out = filepath.Join(runsDir, "scenario-"+time.Now().UTC().Format("20060102T150405Z"))
	}
	j := judged{skips: all}
	ended := f.each(ctx, scripts, &j, f.one, stdout, stderr)
	if err := errors.Join(ended, f.write(&j, stdout)); err != nil {
		return err
	}
	return j.verdict(f.only)
}

// scripts finds the scenarios of those names.
func (f *scenarioFlags) scripts(names []string) (scripts []play.Script, err error) {
	if slices.Contains(names, everyScenario) {
		all, err := play.All(f.modes)
		return slices.DeleteFunc(all, func(s play.Script) bool { return s.Patient && !f.travel }), err
	}
	for _, n := range names {
		s, err := play.Find(n, f.modes)
		if err != nil {
			return nil, usageError{err}
		}
		scripts = append(scripts, s)
	}
	return scripts, nil
}

// playable lists the scripts that can be played as it was asked. One that was named must be;
// of all of them those are left out, with a remark, that cannot, since they are of other modes.
func (f *scenarioFlags) playable(scripts []play.Script, all bool, stderr io.Writer) (out []play.Script, err error) {
	var remarks strings.Builder
	for _, s := range scripts {
		fault := f.config(&s).Validate(f.modes)
		if fault == nil {
			out = append(out, s)
			continue
		}
		err = cmp.Or(err, fault)
		name := "scenario " + s.Name
		fmt.Fprintf(&remarks, "%s was left out: %s\n", name, strings.TrimPrefix(fault.Error(), name+", "))
	}
	if err != nil && (!all || len(out) == 0) {
		return nil, usageError{err}
	}
	fmt.Fprint(stderr, remarks.String())
	return out, nil
}

// judged is what became of the scenarios so far.
type judged struct {
	played         []play.Outcome
	text           bytes.Buffer // of all that were played, for people
	checks, failed int
	// skips is set where those are skipped for which the machine lacks something.
	skips   bool
	skipped []string // their names
	lack    error    // what the first one of them lacks
}

// each plays scenarios one after the other, by calling one, until one fails.
func (f *scenarioFlags) each(ctx context.Context, scripts []play.Script, j *judged,
	one func(context.Context, play.Script, io.Writer) (play.Outcome, error), stdout, stderr io.Writer) error {
	text := io.MultiWriter(&j.text, stdout)
	if f.json {
		text = &j.text
	}
	for _, s := range scripts {
		o, err := one(ctx, s, stderr)
		if j.skips && modes.IsMissing(err) && ctx.Err() == nil {
			fmt.Fprintf(stderr, "scenario %s was skipped: %v\n", s.Name, err)
			j.skipped, j.lack = append(j.skipped, s.Name), cmp.Or(j.lack, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("scenario %s: %w", s.Name, err)
		}
		j.played = append(j.played, o)
		j.checks, j.failed = j.checks+len(o.Checks), j.failed+len(o.Failed())
		if err := o.Write(text); err != nil {
			return err
		}
		if p := o.Picture(); !p.Empty() {
			if err := writePicture(f.out, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes down what was judged, if anything was.
func (f *scenarioFlags) write(j *judged, stdout io.Writer) error {
	if len(j.played) == 0 {
		return nil
	}
	if err := results.WriteFile(f.out, "scenario.md", j.text.Bytes()); err != nil {
		return err
	}
	if f.json {
		return writeJSON(stdout, j.played)
	}
	fmt.Fprintln(stdout, filepath.Join(f.out, "scenario.md"))
	return nil
}

// verdict says what did not hold of scenarios played in some modes, or else which were
// skipped.
func (j *judged) verdict(only []string) error {
	switch {
	case j.failed > 0:
		return thresholdError{fmt.Errorf("%d of %s did not hold", j.failed, summary.Count(j.checks, "expectation"))}
	case j.checks == 0 && len(j.played) > 0:
		return thresholdError{fmt.Errorf("no expectation was checked: nothing is expected in the modes that were played (%s)", strings.Join(only, ", "))}
	case len(j.skipped) > 0:
		return fmt.Errorf("%d of %d scenarios were skipped (%s), for want of what they need here, the first: %w",
			len(j.skipped), len(j.skipped)+len(j.played), strings.Join(j.skipped, ", "), j.lack)
	}
	return nil
}

// config is what to run for a scenario.
func (f *scenarioFlags) config(script *play.Script) session.Config {
	c := session.Default(f.modes)
	c.Services, c.Endpoints, c.Modes, c.Repeat, c.Seed = []int{script.Services}, script.Endpoints, script.Modes, 1, f.seed
	if len(f.only) > 0 {
		c.Modes = f.only
	}
	c.Weights, c.Params = script.Weights, map[string]session.Values{}
	for name, v := range script.Params {
		c.Params[name] = session.Values{v}
	}
	c.From, c.Node = f.from, f.node
	c.Testbed, c.Kernels, c.TimeTravel, c.Script = f.testbed, f.kernels, f.travel, script
	return c
}

// one plays one scenario in all its modes.
func (f *scenarioFlags) one(ctx context.Context, script play.Script, stderr io.Writer) (play.Outcome, error) {
	if f.quick {
		script = script.Shorter(1./3, quickWait)
	}
	script.TimeTravel = f.travel
	c := f.config(&script)
	s := f.session(c, len(f.only) > 0 || !slices.Equal(c.Modes, f.modes.Usual().Names()))
	var err error
	if s.Dir, err = below(f.out, script.Name); err != nil {
		return play.Outcome{}, err
	}
	if err := f.checkOut(&s.Dir); err != nil {
		return play.Outcome{}, err
	}
	fmt.Fprintf(stderr, "scenario %s: %s\n", script.Name, script.Question)
	if err := s.TakeInput(f.stdin, false); err != nil {
		return play.Outcome{}, usageError{err}
	}
	if err := s.WriteInput(stderr); err != nil {
		return play.Outcome{}, err
	}
	out, err := f.play(ctx, s, f.progress, stderr)
	if err := verdict(s, out, err, stderr); err != nil {
		return play.Outcome{}, err
	}
	run, err := results.Open(s.Dir)
	if err != nil {
		return play.Outcome{}, err
	}
	sum, err := summary.Of(run)
	if err != nil {
		return play.Outcome{}, err
	}
	return play.Judge(script, sum), nil
}
