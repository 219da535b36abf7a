package session

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"viplab/lab/kernel"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/results"
)

// Session is one run.
type Session struct {
	Config
	// Modes is the catalog that the configuration's modes are of.
	Modes catalog.Catalog
	// AllModes is set when nobody asked for modes by name: then those that this machine
	// cannot run are left out, with a note.
	AllModes bool
	// Dir is the run directory. It must be empty or not there, unless the run goes on.
	Dir string
	// Resume goes on with the run in Dir, see [Session.Load].
	Resume bool
	// Progress shows how far the run is.
	Progress Progress
	// Log takes what people should know, a line each.
	Log io.Writer
	// Version is that of the program, for the record.
	Version string

	finished map[string]bool // trials of a run that goes on
	warnings []string        // about what was damaged of it
	env      results.Env     // of this machine, learnt once
	unlock   func()          // gives Dir free for others, nil if it was not taken
}

// Run runs the trials, or those that are left. What was measured is in the run
// directory whatever the error, which is ctx's when that ended.
func (s *Session) Run(ctx context.Context) (Outcome, error) {
	defer s.Release()
	// What every testbed takes from the host.
	if _, err := kernel.LookTool("iperf3"); err != nil {
		return Outcome{}, &modes.MissingError{Need: "the tool iperf3", Mend: "sudo apt-get install iperf3", Err: err}
	}
	if err := testbed.Room(s.largest()); err != nil {
		return Outcome{}, err
	}
	at, why, err := s.choose(ctx)
	if err != nil {
		return Outcome{}, err
	}
	fmt.Fprintf(s.Log, "testbed %s: %s\nseed %d, run directory %s\n", at[0].Name(), why, s.Seed, s.Dir)
	for _, w := range s.warnings {
		fmt.Fprintf(s.Log, "warning: %s: %s\n", s.Dir, w)
	}
	for _, n := range s.Notes {
		fmt.Fprintln(s.Log, n)
	}
	s.Testbed = at[0].Name()
	if at[0].kernel != "" {
		s.Kernels = nil
		for _, p := range at {
			s.Kernels = append(s.Kernels, p.kernel)
		}
	}
	s.env = results.HostEnv()
	s.env.Viplab, s.env.Testbed, s.env.Why = s.Version, s.Testbed, why
	trials, err := s.Trials(s.Modes)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.take(); err != nil {
		return Outcome{}, err
	}
	if !s.Resume {
		if err := s.describe(trials); err != nil {
			return Outcome{}, err
		}
	}
	return s.measure(ctx, at, trials)
}

// describe writes down what is run and where.
func (s *Session) describe(trials []trial.Spec) error {
	s.Baseline, s.Variants = "", nil
	if s.Script != nil {
		s.Scenario = s.Script.Name
	}
	for _, m := range s.Modes {
		if m.Baseline && slices.Contains(s.Config.Modes, m.Name) {
			s.Baseline = m.Name
		}
	}
	all, err := s.variants(s.Modes)
	if err != nil {
		return err
	}
	s.Limits = s.caveats(all)
	for _, g := range s.guests() {
		for _, v := range all {
			i := slices.IndexFunc(trials, func(t trial.Spec) bool {
				return t.Mode == v.mode.Name && maps.Equal(t.Args, v.args) && t.Synth.Family == v.family && t.Policies == v.policies && g.holds(t)
			})
			if i >= 0 {
				s.Variants = append(s.Variants, trials[i].Variant())
			}
		}
	}
	// Settings first: what was killed right after them can be gone on with.
	if err := s.describeInput(); err != nil {
		return err
	}
	if err := results.WriteYAML(s.Dir, results.ConfigFile, s.Config); err != nil {
		return err
	}
	return results.WriteJSON(s.Dir, results.EnvFile, s.env)
}

// caveats lists what a reader of the figures of some variants must know, of their testbed
// and of their modes.
func (c Config) caveats(all []variant) (out []string) {
	if text := testbed.Caveat(c.Testbed); text != "" {
		out = append(out, text)
	}
	for _, v := range all {
		for _, text := range v.mode.CaveatsOf(v.args) {
			if !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	return out
}

// measure runs what is left of the trials.
func (s *Session) measure(ctx context.Context, at []place, trials []trial.Spec) (Outcome, error) {
	open := results.Create
	if s.Resume {
		open = results.Resume
	}
	w, err := open(s.Dir)
	if err != nil {
		return Outcome{}, err
	}
	left := slices.DeleteFunc(trials, func(t trial.Spec) bool { return s.finished[t.ID] })
	runner := &Runner{Testbed: testbedOf(at), Out: w, Progress: s.Progress, Facts: s.facts(), OnEnv: s.noteKernel, MemoryMB: s.memoryMB(), Services: s.services(),
		RealRoot: slices.ContainsFunc(left, s.needsRealRoot)}
	deadline := time.Now().Add(s.MaxTime)
	out, runErr := runner.Run(ctx, left, s.MaxTime)
	if runErr == nil {
		out, runErr = s.runFurther(ctx, runner, out, deadline)
	}
	out.Done += len(s.finished)
	if why := s.whyEnded(out, runErr); why != "" {
		_ = w.Add(results.Record{Metric: results.Ended, Err: why}) // a full disk takes no last word
	}
	return out, errors.Join(runErr, w.Close())
}

// whyEnded says what ended a run before all of its trials, empty if nothing did.
func (s *Session) whyEnded(out Outcome, err error) string {
	switch {
	case out.Left == 0:
		return ""
	case out.OutOfTime:
		return fmt.Sprintf("its time was up (--max-time %s)", s.MaxTime)
	case errors.Is(err, context.Canceled):
		return "it was interrupted"
	case err != nil:
		return firstLine(err.Error())
	}
	return ""
}

func (s *Session) needsRealRoot(t trial.Spec) bool {
	m, err := s.Modes.Find(t.Mode)
	return err == nil && m.TraitsOf(t.Args).RealRoot
}

// facts are what must be the same in all rounds of a run, with what was changed of
// what was asked for.
func (s *Session) facts() map[string]string {
	out := map[string]string{"viplab": s.env.Viplab, "host kernel": s.env.Host, "CPU": s.env.CPU, "CPUs": fmt.Sprint(s.env.CPUs)}
	if len(s.Notes) > 0 {
		out["changed"] = strings.Join(s.Notes, "; ")
	}
	return out
}

// noteKernel adds to env.json what only the inside of the testbed could tell.
func (s *Session) noteKernel(inside trial.Env) error {
	env := s.env
	if b, err := results.ReadFile(s.Dir, results.EnvFile); err == nil {
		if err := json.Unmarshal(b, &env); err != nil {
			return fmt.Errorf("note the kernel: %w", err)
		}
	}
	env.Kernel, env.Clock = noted(env.Kernel, inside.Kernel), noted(env.Clock, inside.Clock)
	env.KernelCPUs, env.Sysctls = max(env.KernelCPUs, inside.CPUs), inside.Sysctls
	return results.WriteJSON(s.Dir, results.EnvFile, env)
}

// noted adds a fact to what is noted already: kernels may be compared.
func noted(list, fact string) string {
	if list == "" || slices.Contains(strings.Split(list, "; "), fact) {
		return cmp.Or(list, fact)
	}
	return list + "; " + fact
}

// memoryMB is what a guest needs at the largest size: the blob of rules twice
// while it is replaced, the tool, the lab and the proxy.
func (s *Session) memoryMB() int {
	return 2048 + s.largest()*60/1024
}

// largest is how many endpoints there are at the largest size, on all ports together.
func (s *Session) largest() int { return slices.Max(s.Services) * s.Ports * max(2, s.Endpoints) }
