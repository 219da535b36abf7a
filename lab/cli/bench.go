package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"viplab/analysis/report"
	"viplab/analysis/summary"
	"viplab/lab/cluster"
	"viplab/lab/session"
	"viplab/lab/testbed"
	"viplab/modes"
	"viplab/results"
)

// runsDir is where runs land unless --out says otherwise.
const runsDir = "results/runs"

// precision is asked of a run's main figures unless --precision says otherwise.
const precision = 0.05

// benchFlags are the flags of bench and what comes of them.
type benchFlags struct {
	app
	session.Config
	params                map[string]*[]string // values of the modes' parameters, by name
	out, config, progress string
	exact                 bool
	upTo                  int
	resume                string
}

func (a app) benchCommand() *cobra.Command {
	f := benchFlags{app: a, Config: session.Default(a.modes), params: map[string]*[]string{}}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Run a matrix of trials: modes by sizes by rounds",
		Long: `bench programs the same Services through each mode, proves that each forwards
rightly, measures updates, first packets, connections, throughput, CPU and memory
in interleaved rounds, and writes a run directory with records, plots and report.`,
		Example: `  viplab bench                                    # all modes at 1, 1000, 5000, 20000 Services
  viplab bench --quick                            # a look, in about two minutes
  viplab bench --services 1,500 --modes iptables,ipvs
  viplab bench --services 5000 --live 10s --churn 20 --repeat 2
  viplab bench --modes iptables --sync append,rewrite,partial --testbed native --backend legacy,nft
  viplab bench --services 1000 --endpoints 10 --repeat 10 --testbed uml
  viplab bench --testbed qemu --exact --modes direct,iptables --services 1,100 --quick   # instructions; after viplab kernel fetch
  kubectl get services,endpointslices -A -o yaml > cluster.yaml
  viplab bench --from cluster.yaml --services 1x,4x,16x --modes iptables,ipvs,nftables`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := f.resolve(cmd)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), s, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// register makes the flags: those of a run, those of the modes' parameters, those of
// the command.
func (f *benchFlags) register(fl *pflag.FlagSet) {
	fl.Var(&sizes{&f.Config}, "services", "numbers of Services to measure at; with --from multiples of what is there, such as 1x,4x,16x")
	f.registerInput(fl)
	fl.IntVar(&f.upTo, "up-to", 0, "measure at sizes up to this number of Services instead of --services")
	fl.IntVar(&f.Endpoints, "endpoints", f.Endpoints, "endpoints of each Service")
	fl.IntVar(&f.Ports, "ports", f.Ports, "TCP ports of each Service")
	fl.StringSliceVar(&f.Modes, "modes", f.Modes, "modes to compare (see viplab modes)")
	fl.StringVar(&f.Testbed, "testbed", f.Testbed, "where trials run: auto, "+strings.Join(testbed.Names(), ", "))
	fl.BoolVar(&f.exact, "exact", false, "with --testbed qemu: count instructions instead of time, the same in every run and on every machine")
	fl.StringSliceVar(&f.Kernels, "kernel", f.Kernels, "kernels of the guest, as viplab kernel list names them, or paths; several are compared")
	fl.IntSliceVar(&f.CPUs, "cpus", f.CPUs, "processors of the guest (a kernel built with --smp has several); several numbers are compared")
	fl.IntVar(&f.Repeat, "repeat", f.Repeat, "rounds through the whole matrix")
	f.Precision = precision
	fl.Var(&f.Precision, "precision", "after the rounds, measure again where the interval of a main figure is wider than this to either side, "+
		"for at most a tenth of the time more (0: never; the default where --repeat is given)")
	fl.DurationVar(&f.Duration, "duration", f.Duration, "length of each connection loop and iperf3 run")
	fl.IntVar(&f.Warmup, "warmup", f.Warmup, "packets to discard before first packets are timed")
	fl.DurationVar(&f.Live, "live", f.Live, "run a steady client beside periodic full syncs for this long in each trial (0: not at all)")
	fl.Float64Var(&f.Churn, "churn", f.Churn, "let this many changes a second arrive, and measure how long each waits (0: none)")
	fl.DurationVar(&f.ChurnFor, "churn-for", f.ChurnFor, "how long changes arrive")
	fl.DurationVar(&f.MinSync, "min-sync-period", f.MinSync, "least time between two syncs under churn, as kube-proxy has it")
	fl.DurationVar(&f.MaxTime, "max-time", f.MaxTime, "end the run after this time and report what there is (0: no limit)")
	fl.Uint64Var(&f.Seed, "seed", f.Seed, "seed of addresses, order and random choices")
	fl.DurationVar(&f.Limit, "sample-limit", f.Limit, "longest time for one installation rule by rule (--sync append)")
	fl.IntSliceVar(&f.Policies, "policies", f.Policies, "filter rules of network policies beside the modes' own, as a factor")
	fl.StringVar(&f.PolicyFor, "policy-packets", f.PolicyFor, "which packets cross them: new (first ones of flows), all")
	fl.IntSliceVar(&f.Plain, "plain-rules", f.Plain, "time iptables itself too, with so many rules without Services (with mode direct)")
	fl.BoolVar(&f.Reuse, "reuse", f.Reuse, "let clients reuse local ports, under every setting of the kernel that matters to it (mode ipvs)")
	fl.StringSliceVar(&f.Families, "family", f.Families, "address families of Services: ipv4, ipv6, dual")
	fl.IntSliceVar(&f.Weights, "weights", f.Weights, "weights of each Service's endpoints, in turn, for IPVS's schedulers (default 1 each)")
	fl.DurationVar(&f.Affinity, "affinity", f.Affinity, "session affinity of all Services by client address (0: none)")
	fl.StringVar(&f.OnMissing, "on-missing", f.OnMissing, "a mode that the kernel lacks: fail, skip it, or fallback to what kube-proxy took (ipvs to iptables)")
	fl.DurationVar(&f.SyncLimit, "sync-limit", f.SyncLimit, "longest time for one sync; beyond it the sample is recorded as \"> limit\" (0: no limit)")
	for _, p := range f.modes.Params() {
		v := []string{p.Default}
		f.params[p.Name] = &v
		fl.StringSliceVar(&v, p.Name, v, paramHelp(p))
	}
	fl.StringVar(&f.out, "out", "", "run directory to make (default "+runsDir+"/TIME-HASH)")
	fl.StringVar(&f.resume, "resume", "", "go on with the run in this directory, with its own settings")
	fl.BoolVar(&f.Quick, "quick", false, "few rounds and short measurements, about two minutes")
	fl.StringVar(&f.config, "config", "", "YAML file with any of these settings; flags win over it")
	fl.StringVar(&f.progress, "progress", session.ProgressAuto, "progress on stderr: auto, plain, none")
}

// paramHelp is the help text of a mode's parameter, with its values.
func paramHelp(p modes.Param) string {
	for _, v := range p.Values {
		if !strings.Contains(p.Help, v) {
			return p.Help + ": " + strings.Join(p.Values, ", ")
		}
	}
	return p.Help
}

// resolve puts defaults, the configuration file and flags together, in rising
// order, and checks the result.
func (f *benchFlags) resolve(cmd *cobra.Command) (*session.Session, error) {
	if _, err := session.NewProgress(f.progress, io.Discard, false); err != nil {
		return nil, usageError{err}
	}
	changed := cmd.Flags().Changed
	if f.resume != "" {
		return f.resolveResume(cmd)
	}
	if f.config != "" {
		inFile, err := f.loadConfig(cmd.Flags())
		if err != nil {
			return nil, err
		}
		changed = func(name string) bool { return cmd.Flags().Changed(name) || slices.Contains(inFile, name) }
	}
	for name, v := range f.params {
		if cmd.Flags().Changed(name) {
			if f.Params == nil {
				f.Params = map[string]session.Values{}
			}
			f.Params[name] = *v
		}
	}
	if changed("up-to") {
		if cmd.Flags().Changed("services") {
			return nil, usagef("--services and --up-to exclude each other")
		}
		f.Services = session.Sweep(f.upTo)
	}
	if f.exact && f.Testbed != testbed.QEMUName && f.Testbed != testbed.ExactName {
		return nil, usagef("--exact is for --testbed %s", testbed.QEMUName)
	} else if f.exact {
		f.Testbed = testbed.ExactName
	}
	if changed("repeat") && !changed("precision") {
		f.Precision = 0
	}
	if f.Quick {
		f.MakeQuick(changed("services") || changed("up-to"), changed("repeat"))
	}
	if err := f.checkInput(cmd.Flags().Changed); err != nil {
		return nil, err
	}
	slices.Sort(f.Services)
	slices.Sort(f.Times)
	if !changed("modes") {
		f.leaveOut()
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	s := f.session(f.Config, changed("modes"))
	s.Dir = f.out
	if err := f.checkOut(&s.Dir); err != nil {
		return nil, err
	}
	return s, takeInput(cmd, s, !changed("family"))
}

// check says what is wrong with what was asked for.
func (f *benchFlags) check() error {
	if err := f.Validate(f.modes); err != nil {
		return usageError{err}
	}
	if f.OnMissing != session.OnMissingFail && f.OnMissing != "" && f.Testbed == testbed.Auto {
		return usagef("on-missing %s needs a testbed by name: auto takes one that has everything", f.OnMissing)
	}
	for _, name := range f.Modes {
		if err := f.checkFamilies(name); err != nil {
			return usageError{err}
		}
	}
	able := func(ok func(modes.Mode) bool) bool {
		return slices.ContainsFunc(f.Modes, func(name string) bool {
			m, err := f.modes.Find(name)
			return err == nil && ok(m)
		})
	}
	weighs := func(m modes.Mode) bool { _, lacks := m.Limits[modes.SchedulerChoice]; return !lacks }
	tunes := func(m modes.Mode) bool { _, ok := m.New(nil, modes.Machine{}).(modes.Tunable); return ok }
	asked := map[string]bool{"weights": len(f.Weights) > 0, "reuse": f.Reuse}
	for name, ok := range map[string]func(modes.Mode) bool{"weights": weighs, "reuse": tunes} {
		if asked[name] && !able(ok) {
			var can []string
			for _, m := range f.modes {
				if ok(m) {
					can = append(can, m.Name)
				}
			}
			return usagef("--%s is for mode %s, which is not among the modes asked for (%s)", name, strings.Join(can, ", "), strings.Join(f.Modes, ", "))
		}
	}
	if f.Testbed != testbed.Auto { // a configuration's; a flag's has been looked at
		if _, err := testbed.Find(f.Testbed); err != nil {
			return usageError{err}
		}
	}
	return nil
}

// checkFamilies says why a mode cannot serve all families that were asked for, nil if it can.
func (f *benchFlags) checkFamilies(mode string) error {
	m, err := f.modes.Find(mode)
	for _, family := range f.Families {
		// Of Services out of --from those are left out that a mode cannot serve.
		if err == nil && f.From == "" {
			err = m.CheckFamily(modes.Family(family))
		}
	}
	return err
}

// leaveOut takes modes that nobody named out of the configuration, and notes it, where they
// cannot serve the families that were asked for.
func (f *benchFlags) leaveOut() {
	f.Modes = slices.DeleteFunc(slices.Clone(f.Modes), func(name string) bool {
		err := f.checkFamilies(name)
		if err != nil {
			f.Notes = append(f.Notes, fmt.Sprintf("mode %s was left out: %v", name, err))
		}
		return err != nil
	})
}

// resolveResume takes the settings from the run that is to go on. Only how to
// show progress and when to end may be set anew.
func (f *benchFlags) resolveResume(cmd *cobra.Command) (*session.Session, error) {
	var err error
	cmd.Flags().Visit(func(fl *pflag.Flag) {
		if !slices.Contains([]string{"resume", "progress", "max-time"}, fl.Name) {
			err = usagef("--resume takes all settings from its run: --%s cannot be given with it", fl.Name)
		}
	})
	if err != nil {
		return nil, err
	}
	s := f.session(f.Config, true)
	dir, err := runDir(f.resume)
	if err != nil {
		return nil, err
	}
	// A name is a link: what is done to the run's directory is not done to that.
	if s.Dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, usagef("resume %s: %w", dir, err)
	}
	if err := s.Load(); err != nil {
		return nil, usageError{err}
	}
	return s, nil
}

// loadConfig reads the configuration file over the defaults, and then sets the
// flags that were given again. It lists what the file says.
func (f *benchFlags) loadConfig(flags *pflag.FlagSet) ([]string, error) {
	file, err := os.Open(f.config)
	if err != nil {
		return nil, usagef("read configuration: %w", err)
	}
	defer file.Close()
	again := givenAgain(flags)
	c, given, err := session.ReadConfig(file, f.modes)
	if err != nil {
		return nil, usagef("read configuration %s: %w", f.config, err)
	}
	if c.Scenario != "" {
		return nil, usagef("configuration %s is of scenario %s, which is no benchmark: play it with viplab scenario %s", f.config, c.Scenario, c.Scenario)
	}
	c.Written = session.Written{} // of the run that wrote the file, if one did
	if copied := cluster.Copied(filepath.Join(filepath.Dir(f.config), session.InputFolder)); c.From != "" && copied != "" {
		c.From = copied // the file is a run's own
	}
	f.Config = c
	return given, again()
}

// givenAgain remembers the flags that were given, and sets them once more when it is
// called.
func givenAgain(flags *pflag.FlagSet) func() error {
	var set []func() error
	flags.Visit(func(fl *pflag.Flag) {
		if list, ok := fl.Value.(pflag.SliceValue); ok {
			v := list.GetSlice()
			set = append(set, func() error { return list.Replace(v) })
			return
		}
		v := fl.Value.String()
		set = append(set, func() error { return fl.Value.Set(v) })
	})
	return func() error {
		for _, fn := range set {
			if err := fn(); err != nil {
				return usageError{err}
			}
		}
		return nil
	}
}

// session is a run of a configuration. byName says that its modes were asked for.
func (a app) session(c session.Config, byName bool) *session.Session {
	c.Command = a.command
	return &session.Session{Config: c, Modes: a.modes, AllModes: !byName, Version: version()}
}

// run runs a session and reports, whatever ended it.
func (f *benchFlags) run(ctx context.Context, s *session.Session, stdout, stderr io.Writer) error {
	out, runErr := f.play(ctx, s, f.progress, stderr)
	run, err := results.Open(s.Dir)
	if err == nil && len(run.Records) > 0 {
		latest(s.Dir)
		if _, err = report.Write(run, f.modes); err == nil {
			fmt.Fprintln(stdout, filepath.Join(s.Dir, results.ReportHTML))
		}
	}
	if err != nil && runErr == nil && out.Done > 0 {
		return err
	}
	return verdict(s, out, runErr, stderr)
}

// play runs a session with progress on stderr. A directory in which nothing came is
// taken away.
func (a app) play(ctx context.Context, s *session.Session, progress string, stderr io.Writer) (session.Outcome, error) {
	terminal := false
	if file, ok := stderr.(*os.File); ok {
		terminal = term.IsTerminal(int(file.Fd()))
	}
	var err error
	if s.Progress, err = session.NewProgress(progress, stderr, terminal); err != nil {
		return session.Outcome{}, usageError{err}
	}
	s.Log = stderr
	out, err := s.Run(ctx)
	if !session.Begun(s.Dir) {
		err = errors.Join(err, os.RemoveAll(s.InputFolder()))
	}
	_ = unix.Rmdir(s.Dir) // only if it is empty, and no link
	return out, err
}

// verdict says what became of a run, nil if all of it went well.
func verdict(s *session.Session, out session.Outcome, runErr error, stderr io.Writer) error {
	nothing := out.Done+out.Failed == 0 && !s.Resume // was measured
	switch {
	case errors.Is(runErr, context.Canceled):
		if !session.Begun(s.Dir) {
			return runErr // before there was anything
		}
		trials := summary.Count(out.Done+out.Failed+out.Left, "trial")
		text := fmt.Sprintf("interrupted after %d of %s; what was measured is in %s", out.Done, trials, s.Dir)
		if nothing {
			text = fmt.Sprintf("interrupted before the first of %s had ended; nothing was measured in %s", trials, s.Dir)
		}
		if s.Script == nil {
			text += "; it goes on with --resume"
		}
		return &interruptedError{text}
	case runErr != nil:
		return runErr
	case out.OutOfTime && nothing:
		return fmt.Errorf("time was up before a trial had ended, so that nothing was measured; %s goes on with --resume", s.Dir)
	case out.OutOfTime:
		fmt.Fprintf(stderr, "time is up after %s; not run: %d\n", summary.Count(out.Done, "trial"), out.Left)
	}
	if out.Failed > 0 {
		return fmt.Errorf("%d of %s failed, the first: %s", out.Failed, summary.Count(out.Done+out.Failed, "trial"), firstLine(out.Failures[0]))
	}
	return nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
