package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
	"gopkg.in/yaml.v3"

	"viplab/analysis/report"
	"viplab/lab/bench"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/results"
)

// runsDir is where runs land unless --out says otherwise.
const runsDir = "results/runs"

type benchFlags struct {
	bench.Config
	out, config, progress string
	upTo                  int
	resume                string
	onMissing             string
	finished              map[string]bool // trials of a resumed run
	env                   results.Env     // of this machine, learnt once
}

func benchCommand() *cobra.Command {
	f := benchFlags{Config: bench.Default()}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Run a matrix of trials: modes by sizes by rounds",
		Long: `bench programs the same Services through each mode, proves that each forwards
rightly, measures updates, first packets, connections, throughput, CPU and memory
in interleaved rounds, and writes a run directory with records, plots and report.`,
		Example: `  viplab bench                                    # all modes at 1, 1000, 5000, 20000 Services
  viplab bench --quick                            # a look, in under two minutes
  viplab bench --services 1,500 --modes iptables,ipvs
  viplab bench --services 5000 --live 10s --churn 20 --repeat 2
  viplab bench --modes iptables --sync append,rewrite,partial --testbed native --backend legacy,nft
  viplab bench --services 1000 --endpoints 10 --repeat 10 --testbed uml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.resolve(cmd); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.IntSliceVar(&f.Services, "services", f.Services, "numbers of Services to measure at")
	fl.IntVar(&f.upTo, "up-to", 0, "measure at sizes up to this number of Services instead of --services")
	fl.IntVar(&f.Endpoints, "endpoints", f.Endpoints, "endpoints of each Service")
	fl.IntVar(&f.Ports, "ports", f.Ports, "TCP ports of each Service")
	fl.StringSliceVar(&f.Modes, "modes", f.Modes, "modes to compare (see viplab modes)")
	fl.StringVar(&f.Testbed, "testbed", f.Testbed, "where trials run: auto, native, uml")
	fl.IntVar(&f.Rounds, "repeat", f.Rounds, "rounds through the whole matrix")
	fl.DurationVar(&f.Duration, "duration", f.Duration, "length of each connection loop and iperf3 run")
	fl.IntVar(&f.Warmup, "warmup", f.Warmup, "packets to discard before first packets are timed")
	fl.DurationVar(&f.Live, "live", f.Live, "run a steady client beside periodic full syncs for this long in each trial (0: not at all)")
	fl.Float64Var(&f.Churn, "churn", f.Churn, "let this many changes a second arrive, and measure how long each waits (0: none)")
	fl.DurationVar(&f.ChurnFor, "churn-for", f.ChurnFor, "how long changes arrive")
	fl.DurationVar(&f.MinSync, "min-sync-period", f.MinSync, "least time between two syncs under churn, as kube-proxy has it")
	fl.DurationVar(&f.MaxTime, "max-time", f.MaxTime, "end the run after this time and report what there is (0: no limit)")
	fl.Uint64Var(&f.Seed, "seed", f.Seed, "seed of addresses, order and random choices")
	fl.IntVar(&f.Fanout, "fanout", f.Fanout, "fan-out of iptables-tree, a power of two")
	fl.StringSliceVar(&f.Sync, "sync", f.Sync, "update strategies of the iptables modes: partial, rewrite, append")
	fl.StringSliceVar(&f.Backends, "backend", f.Backends, "backends of the iptables modes: legacy, nft (nft: testbed native only)")
	fl.StringSliceVar(&f.Binds, "bind", f.Binds, "how mode ipvs makes VIPs local: address (on a dummy device), route, alias (on the link to the endpoints)")
	fl.DurationVar(&f.Limit, "sample-limit", f.Limit, "longest time for one installation rule by rule (strategy append)")
	fl.IntSliceVar(&f.Policies, "policies", f.Policies, "filter rules of network policies beside the modes' own, as a factor")
	fl.StringVar(&f.PolicyFor, "policy-packets", f.PolicyFor, "which packets cross them: new (first ones of flows), all")
	fl.IntSliceVar(&f.Plain, "plain-rules", f.Plain, "time iptables itself too, with so many rules without Services (with mode direct)")
	fl.BoolVar(&f.Reuse, "reuse", f.Reuse, "let clients reuse local ports, under every setting of IPVS that matters to it (mode ipvs)")
	fl.StringSliceVar(&f.Scheds, "scheduler", f.Scheds, "IPVS schedulers: rr, wrr, lc, wlc, sh, dh, lblc, sed, nq, mh")
	fl.StringSliceVar(&f.Forwards, "forward", f.Forwards, "how mode ipvs forwards packets: nat, dr (direct routing), tunnel")
	fl.StringSliceVar(&f.Lookups, "lookup", f.Lookups, "how mode ipvs finds what to masquerade: ipset, rules (one an endpoint, to show what ipsets spare)")
	fl.StringSliceVar(&f.Families, "family", f.Families, "address families of Services: ipv4, ipv6, dual")
	fl.StringSliceVar(&f.Tracking, "conntrack", f.Tracking, "whether conntrack tracks connections of mode ipvs: on, off")
	fl.IntSliceVar(&f.Weights, "weights", f.Weights, "weights of each Service's endpoints, in turn, for IPVS's schedulers (default 1 each)")
	fl.DurationVar(&f.Affinity, "affinity", f.Affinity, "session affinity of all Services by client address (0: none)")
	fl.StringVar(&f.onMissing, "on-missing", onMissingFail, "a mode that the kernel lacks: fail, skip it, or fallback from ipvs to iptables")
	fl.DurationVar(&f.SyncLimit, "sync-limit", f.SyncLimit, "longest time for one sync; beyond it the sample is recorded as \"> limit\" (0: no limit)")
	fl.StringVar(&f.out, "out", "", "run directory to make (default "+runsDir+"/TIME-HASH)")
	fl.StringVar(&f.resume, "resume", "", "go on with the run in this directory, with its own settings")
	fl.BoolVar(&f.Quick, "quick", false, "few rounds and short measurements, under two minutes")
	fl.StringVar(&f.config, "config", "", "YAML file with any of these settings; flags win over it")
	fl.StringVar(&f.progress, "progress", bench.ProgressAuto, "progress on stderr: auto, plain, none")
	return cmd
}

// resolve puts defaults, the configuration file and flags together, in rising
// order, and checks the result.
func (f *benchFlags) resolve(cmd *cobra.Command) error {
	if _, err := bench.NewProgress(f.progress, io.Discard, false); err != nil {
		return usageError{err}
	}
	changed := cmd.Flags().Changed
	if f.resume != "" {
		return f.resolveResume(cmd)
	}
	if f.config != "" {
		if err := f.loadConfig(changed); err != nil {
			return err
		}
	}
	if changed("up-to") {
		if changed("services") {
			return usagef("--services and --up-to exclude each other")
		}
		f.Services = bench.Sweep(f.upTo)
	}
	if err := f.checkOnMissing(); err != nil {
		return err
	}
	if f.Quick {
		f.MakeQuick(changed("services") || changed("up-to"), changed("repeat"))
	}
	slices.Sort(f.Services)
	if err := f.Validate(); err != nil {
		return usageError{err}
	}
	for _, name := range []string{"bind", "scheduler", "forward", "lookup", "conntrack", "weights", "reuse"} {
		if changed(name) && !slices.Contains(f.Modes, "ipvs") {
			return usagef("--%s is for mode ipvs, which is not among the modes asked for (%s)", name, strings.Join(f.Modes, ", "))
		}
	}
	if f.Testbed != testbed.Auto {
		if _, err := testbed.Find(f.Testbed); err != nil {
			return usageError{err}
		}
	}
	return f.checkOut()
}

// resolveResume takes the settings from the run that is to go on. Only how to
// show progress and when to end may be set anew.
func (f *benchFlags) resolveResume(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(fl *pflag.Flag) {
		if !slices.Contains([]string{"resume", "progress", "max-time"}, fl.Name) {
			err = usagef("--resume takes all settings from its run: --%s cannot be given with it", fl.Name)
		}
	})
	if err != nil {
		return err
	}
	return f.loadResumed()
}

// loadResumed reads settings and finished trials of the run to go on with.
func (f *benchFlags) loadResumed() error {
	maxTime := f.MaxTime
	run, err := results.Open(f.resume)
	if err != nil {
		return usageError{err}
	}
	b, err := os.ReadFile(filepath.Join(f.resume, results.ConfigFile))
	if err != nil {
		return usagef("resume %s: its settings cannot be read: %w", f.resume, err)
	}
	if err := yaml.Unmarshal(b, &f.Config); err != nil {
		return usagef("resume %s: its settings cannot be read: %w", f.resume, err)
	}
	f.MaxTime, f.out, f.finished = maxTime, filepath.Clean(f.resume), run.Finished()
	if err := f.Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

// loadConfig reads the configuration file over the defaults, and then sets the
// flags that were given again.
func (f *benchFlags) loadConfig(changed func(string) bool) error {
	given := f.Config
	file, err := os.Open(f.config)
	if err != nil {
		return usagef("read configuration: %w", err)
	}
	defer file.Close()
	c := bench.Default()
	dec := yaml.NewDecoder(file)
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return usagef("read configuration %s: %w", f.config, err)
	}
	for name, keep := range map[string]func(){
		"services": func() { c.Services = given.Services }, "endpoints": func() { c.Endpoints = given.Endpoints },
		"ports": func() { c.Ports = given.Ports }, "modes": func() { c.Modes = given.Modes },
		"testbed": func() { c.Testbed = given.Testbed }, "repeat": func() { c.Rounds = given.Rounds },
		"duration": func() { c.Duration = given.Duration }, "warmup": func() { c.Warmup = given.Warmup },
		"max-time": func() { c.MaxTime = given.MaxTime }, "seed": func() { c.Seed = given.Seed },
		"fanout": func() { c.Fanout = given.Fanout }, "quick": func() { c.Quick = given.Quick },
		"sync": func() { c.Sync = given.Sync }, "backend": func() { c.Backends = given.Backends },
		"churn": func() { c.Churn = given.Churn }, "churn-for": func() { c.ChurnFor = given.ChurnFor },
		"min-sync-period": func() { c.MinSync = given.MinSync }, "live": func() { c.Live = given.Live }, "bind": func() { c.Binds = given.Binds }, "sample-limit": func() { c.Limit = given.Limit },
		"policies": func() { c.Policies = given.Policies }, "policy-packets": func() { c.PolicyFor = given.PolicyFor },
		"reuse":       func() { c.Reuse = given.Reuse },
		"scheduler":   func() { c.Scheds = given.Scheds },
		"forward":     func() { c.Forwards = given.Forwards },
		"lookup":      func() { c.Lookups = given.Lookups },
		"family":      func() { c.Families = given.Families },
		"conntrack":   func() { c.Tracking = given.Tracking },
		"weights":     func() { c.Weights = given.Weights },
		"affinity":    func() { c.Affinity = given.Affinity },
		"plain-rules": func() { c.Plain = given.Plain },
		"sync-limit":  func() { c.SyncLimit = given.SyncLimit },
	} {
		if changed(name) {
			keep()
		}
	}
	f.Config = c
	return nil
}

// checkOut finds a place for the run directory and proves that it can be
// written, before minutes are spent on measuring.
func (f *benchFlags) checkOut() error {
	if f.out == "" {
		now := time.Now().UTC()
		sum := sha256.Sum256(fmt.Appendf(nil, "%v %d %d", f.Config, now.UnixNano(), os.Getpid()))
		f.out = filepath.Join(runsDir, now.Format("20060102T150405Z")+"-"+hex.EncodeToString(sum[:3]))
	}
	if st, err := os.Stat(f.out); err == nil {
		if !st.IsDir() {
			return usagef("--out %s is a file, not a folder", f.out)
		}
		if entries, err := os.ReadDir(f.out); err == nil && len(entries) > 0 {
			return usagef("--out %s is not empty: choose a new folder", f.out)
		}
	}
	if err := os.MkdirAll(f.out, 0o777); err != nil {
		return usagef("--out %s cannot be made: %w", f.out, err)
	}
	probe := filepath.Join(f.out, ".probe")
	if err := os.WriteFile(probe, nil, 0o666); err != nil {
		return usagef("--out %s cannot be written: %w", f.out, err)
	}
	return os.Remove(probe)
}

func (f *benchFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	tb, why, err := f.choose(ctx)
	if err != nil {
		os.Remove(f.out) // only if it is empty
		return err
	}
	fmt.Fprintf(stderr, "testbed %s: %s\nseed %d, run directory %s\n", tb.Name(), why, f.Seed, f.out)
	for _, n := range f.Notes {
		fmt.Fprintln(stderr, n)
	}
	f.Testbed = tb.Name()
	f.env = results.HostEnv()
	f.env.Viplab, f.env.Testbed, f.env.Why = version(), tb.Name(), why
	if f.resume != "" {
		return f.measure(ctx, tb, stdout, stderr)
	}
	if err := results.WriteYAML(f.out, results.ConfigFile, f.Config); err != nil {
		return err
	}
	if err := results.WriteJSON(f.out, results.EnvFile, f.env); err != nil {
		return err
	}
	return f.measure(ctx, tb, stdout, stderr)
}

// measure runs what is left of the trials and reports.
func (f *benchFlags) measure(ctx context.Context, tb testbed.Testbed, stdout, stderr io.Writer) error {
	open := results.Create
	if f.resume != "" {
		open = results.Resume
	}
	w, err := open(f.out)
	if err != nil {
		return err
	}
	terminal := false
	if file, ok := stderr.(*os.File); ok {
		terminal = term.IsTerminal(int(file.Fd()))
	}
	progress, err := bench.NewProgress(f.progress, stderr, terminal)
	if err != nil {
		return usageError{err}
	}
	trials := slices.DeleteFunc(f.Trials(), func(t trial.Spec) bool { return f.finished[t.ID] })
	runner := &bench.Runner{Testbed: tb, Out: w, Progress: progress, Facts: f.facts(), OnEnv: f.noteKernel, MemoryMB: f.memoryMB()}
	out, runErr := runner.Run(ctx, trials, f.MaxTime)
	out.Done += len(f.finished)
	if err := w.Close(); err != nil {
		return err
	}
	return f.conclude(out, runErr, stdout, stderr)
}

// facts are what must be the same in all rounds of a run, with what was changed of
// what was asked for.
func (f *benchFlags) facts() map[string]string {
	out := map[string]string{"viplab": f.env.Viplab, "host kernel": f.env.Host, "CPU": f.env.CPU, "CPUs": fmt.Sprint(f.env.CPUs)}
	if len(f.Notes) > 0 {
		out["changed"] = strings.Join(f.Notes, "; ")
	}
	return out
}

// noteKernel adds to env.json what only the inside of the testbed could tell.
func (f *benchFlags) noteKernel(inside trial.Env) error {
	env := f.env
	if b, err := os.ReadFile(filepath.Join(f.out, results.EnvFile)); err == nil {
		if err := json.Unmarshal(b, &env); err != nil {
			return fmt.Errorf("note the kernel: %w", err)
		}
	}
	env.Kernel, env.KernelCPUs, env.Sysctls = inside.Kernel, inside.CPUs, inside.Sysctls
	return results.WriteJSON(f.out, results.EnvFile, env)
}

// choose picks the testbed and checks what every testbed takes from the host.
func (f *benchFlags) choose(ctx context.Context) (testbed.Testbed, string, error) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		return nil, "", &modes.MissingError{Need: "the tool iperf3", Mend: "sudo apt-get install iperf3", Err: err}
	}
	if err := f.substitute(ctx); err != nil {
		return nil, "", err
	}
	return bench.Choose(ctx, f.Testbed, f.Modes, f.Needs())
}

// memoryMB is what a guest needs at the largest size: the blob of rules twice
// while it is replaced, the tool, the lab and the proxy.
func (f *benchFlags) memoryMB() int {
	largest := slices.Max(f.Services) * f.Ports * max(2, f.Endpoints)
	return 2048 + largest*60/1024
}

// conclude writes the report of what was measured, whatever ended the run.
func (f *benchFlags) conclude(out bench.Outcome, runErr error, stdout, stderr io.Writer) error {
	run, err := results.Open(f.out)
	if err == nil && len(run.Records) > 0 {
		latest(f.out)
		if _, err = report.Write(run); err == nil {
			fmt.Fprintln(stdout, filepath.Join(f.out, results.ReportHTML))
		}
	}
	if err != nil && runErr == nil && out.Done > 0 {
		return err
	}
	switch {
	case errors.Is(runErr, context.Canceled):
		return fmt.Errorf("interrupted after %d of %d trials; what was measured is in %s", out.Done, out.Done+out.Failed+out.Left, f.out)
	case runErr != nil:
		return runErr
	case out.OutOfTime:
		fmt.Fprintf(stderr, "time is up after %d trials; %d were not run\n", out.Done, out.Left)
	}
	if out.Failed > 0 {
		return fmt.Errorf("%d of %d trials failed, the first: %s", out.Failed, out.Done+out.Failed, firstLine(out.Failures[0]))
	}
	return nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// latest points results/runs/latest at a run in that folder.
func latest(dir string) {
	link := filepath.Join(filepath.Dir(dir), results.LatestLink)
	if filepath.Base(filepath.Dir(dir)) != filepath.Base(runsDir) {
		return
	}
	_ = os.Remove(link)
	_ = os.Symlink(filepath.Base(dir), link) // a convenience: its failure is no failure
}
