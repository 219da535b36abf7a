package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/prometheus/procfs"
	"github.com/spf13/cobra"

	"viplab/analysis/simulate"
	"viplab/analysis/summary"
	"viplab/lab/cluster"
	"viplab/lab/session"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/snapshot/given"
	"viplab/modes/snapshot/kube"
	"viplab/modes/snapshot/synth"
)

type simulateFlags struct {
	app
	clusterFlags
	sizes     session.Config // of which the sizes hold
	names     []string       // of modes
	spec      synth.Spec
	family    string             // of the spec
	args      map[string]*string // by parameter
	calibrate []string           // run directories
	check     int
	format    string
	json      bool
	what      string
	churn     float64
	minSync   float64
	stderr    io.Writer
}

func (a app) simulateCommand() *cobra.Command {
	f := simulateFlags{app: a, sizes: session.Config{Services: []int{1, 1000, 5000, 20000, 50000, 200000, 1000000}}, args: map[string]*string{},
		spec: synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1}, family: string(modes.IPv4), minSync: 1}
	for _, m := range a.modes {
		if m.Model != nil {
			f.names = append(f.names, m.Name)
		}
	}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Predict without a kernel what Services cost, at any number of them",
		Long: `simulate counts, with the rules that each mode itself plans, the operations that a
first packet or a sync takes, and multiplies them by what an operation cost in a
measured run. It needs no kernel and no rights. What it prints is simulated and says
so; --check shows how far off it is, on sizes that it was not fitted to.`,
		Example: `  viplab simulate                                   # up to a million Services
  viplab simulate --services 30000 --endpoints 10 --modes iptables,ipvs
  viplab simulate --calibrate results/runs/latest   # costs of your machine
  viplab simulate --from cluster.yaml --services 1x,16x
  viplab simulate --check 5000 --calibrate results/runs/latest
  viplab simulate --what fanout --services 20000    # the best fan-out of the tree
  viplab simulate --what churn --churn 10 --min-sync-period 1 --services 20000
  viplab simulate --calibrate results/runs/latest --what calibration  # costs, and what they were fitted to, as JSON
  viplab simulate --what eras                       # old kernels: 11 minutes and 5 hours?`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{string(modes.IPv4), string(modes.IPv6)}, f.family) {
				return usagef("unknown family %q: what is simulated is of ipv4 or ipv6", f.family)
			}
			f.spec.Family = modes.Family(f.family)
			if err := f.takeCluster(cmd); err != nil {
				return usageError{err}
			}
			f.stderr = cmd.ErrOrStderr()
			return f.run(cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.Var(&sizes{&f.sizes}, "services", "numbers of Services; with --from multiples of what is there, such as 1x,4x,16x")
	f.clusterFlags.register(fl)
	fl.StringSliceVar(&f.names, "modes", f.names, "modes to predict")
	fl.IntVar(&f.spec.Endpoints, "endpoints", f.spec.Endpoints, "endpoints of each Service")
	fl.IntVar(&f.spec.Ports, "ports", f.spec.Ports, "TCP ports of each Service")
	fl.Uint64Var(&f.spec.Seed, "seed", f.spec.Seed, "seed of addresses")
	fl.StringVar(&f.family, "family", f.family, "address family of Services: ipv4, ipv6 (with --from ipv6 by itself where there is no other)")
	for _, p := range f.counted() {
		f.args[p.Name] = fl.String(p.Name, p.Default, paramHelp(p))
	}
	fl.StringSliceVar(&f.calibrate, "calibrate", nil, "take the costs of operations from the runs in these directories")
	fl.IntVar(&f.check, "check", 0, "fit on sizes up to this and compare predictions of larger ones with what the run measured")
	fl.StringVar(&f.format, "format", "text", "text or json")
	fl.BoolVar(&f.json, "json", false, "the same as --format json")
	fl.StringVar(&f.what, "what", "costs", strings.Join(f.questions(), ", "))
	fl.Float64Var(&f.churn, "churn", 10, "changes a second, for --what churn")
	fl.Float64Var(&f.minSync, "min-sync-period", f.minSync, "least seconds between two syncs, for --what churn")
	return cmd
}

func (f *simulateFlags) run(w io.Writer) error {
	if f.json {
		f.format = "json"
	}
	if err := f.validate(); err != nil {
		return usageError{err}
	}
	if f.check > 0 {
		return f.runCheck(w)
	}
	c, err := f.calibration()
	if err != nil {
		return err
	}
	if f.spec.Family == modes.IPv6 && f.format == "text" && f.what != "calibration" {
		fmt.Fprintln(w, "Services of ipv6; what an operation costs is that of ipv4.")
	}
	switch f.what {
	case "churn":
		return f.runChurn(w, c)
	case "eras":
		return f.runEras(w)
	case "calibration":
		return writeJSON(w, c)
	case "costs":
	default:
		return f.runChoices(w, c)
	}
	var list []simulate.Prediction
	err = f.each(func(m modes.Mode, t modes.Topology) error {
		p, err := c.Predict(m, f.argsOf(m), t)
		list = append(list, p)
		return err
	})
	if err != nil {
		return err
	}
	if f.format == "json" {
		return writeJSON(w, map[string]any{"simulated": true, "family": f.spec.Family, "calibration": c, "predictions": list})
	}
	return simulate.WritePredictions(w, c, list)
}

// counted lists the parameters that a mode's model knows of.
func (f *simulateFlags) counted() []modes.Param {
	return slices.DeleteFunc(f.modes.Params(), func(p modes.Param) bool { return !p.Counted && !p.Apart })
}

// questions lists what can be asked for: a parameter's name asks for its best value.
func (f *simulateFlags) questions() []string {
	out := []string{"costs"}
	for _, p := range f.counted() {
		out = append(out, p.Name)
	}
	return append(out, "churn", "eras", "calibration")
}

// argsOf are the arguments that a mode has parameters for.
func (f *simulateFlags) argsOf(m modes.Mode) modes.Args {
	out := modes.Args{}
	for name, v := range f.args {
		if p, ok := m.Param(name); ok && *v != p.Default {
			out[name] = *v
		}
	}
	return out
}

// each does something for each size and mode that were asked for.
func (f *simulateFlags) each(do func(modes.Mode, modes.Topology) error) error {
	return f.eachSize(func(t modes.Topology) error {
		for _, name := range f.names {
			m, err := f.modes.Find(name)
			if err != nil {
				return usageError{err}
			}
			if err := do(m, t); err != nil {
				return usageError{err}
			}
		}
		return nil
	})
}

// eachSize makes the Services of each size, one after the other.
func (f *simulateFlags) eachSize(do func(modes.Topology) error) error {
	for _, times := range f.sizes.Times {
		s, err := kube.Times(f.cluster.Snapshot, times, trial.Networks()...)
		if err != nil {
			return usageError{err}
		}
		if err := do(given.Topology{Snapshot: s}); err != nil {
			return err
		}
	}
	for _, n := range f.sizes.Services {
		spec := f.spec
		spec.Services = n
		if err := do(spec); err != nil {
			return err
		}
	}
	return nil
}

// takeCluster reads the user's cluster, if one is named: its Services of one family that all
// modes can serve. Packets are then those of a client to ClusterIPs.
func (f *simulateFlags) takeCluster(cmd *cobra.Command) error {
	if f.from == "" {
		if len(f.sizes.Times) > 0 {
			return fmt.Errorf("services: multiples such as %dx are of a cluster: name it by --from", f.sizes.Times[0])
		}
		return nil
	}
	for _, name := range []string{"endpoints", "ports", "seed", "check"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--from and --%s exclude each other", name)
		}
	}
	if cmd.Flags().Changed("services") && len(f.sizes.Times) == 0 {
		return fmt.Errorf("--services are multiples with --from, such as 1x,4x,16x")
	}
	c, err := f.read(cmd.InOrStdin())
	if err != nil {
		return err
	}
	if c.Families() == modes.IPv6 && !cmd.Flags().Changed("family") {
		f.spec.Family = modes.IPv6
	}
	c.KeepFamilies(f.spec.Family)
	var asked []cluster.Asked
	for _, m := range f.modes.Serving() {
		if slices.Contains(f.names, m.Name) {
			asked = append(asked, cluster.Asked{Mode: m, Args: f.argsOf(m)})
		}
	}
	c.Keep(asked...)
	if err := c.Move(); err != nil {
		return err
	}
	if len(c.Snapshot.Services) == 0 {
		return fmt.Errorf("%s: no Service of %s is left that all of %v can serve: %s", f.from, f.spec.Family, f.names, c.LeftOut[len(c.LeftOut)-1])
	}
	f.cluster, f.sizes.Services = c, nil
	if len(f.sizes.Times) == 0 {
		f.sizes.Times = []int{1}
	}
	return c.Write(cmd.ErrOrStderr())
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if string(b) == "null" {
		b = []byte("[]") // a list without anything in it, over which a program goes like over any other
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// bytesPerService is what the simulation of one mode holds of a Service: its
// address as a leaf, and that again while leaves are gathered.
const bytesPerService = 64

func (f *simulateFlags) validate() error {
	if len(f.sizes.Services)+len(f.sizes.Times) == 0 || len(f.names) == 0 {
		return fmt.Errorf("simulate needs at least one number of Services and one mode")
	}
	for _, name := range f.names {
		m, err := f.modes.Find(name)
		if err != nil {
			return err
		}
		if err := m.CheckArgs(f.argsOf(m), f.spec.Family); err != nil {
			return err
		}
	}
	for _, n := range f.sizes.Services {
		spec := f.spec
		spec.Services = n
		if err := spec.Validate(); err != nil {
			return err
		}
		if free := availableMemory(); free > 0 && uint64(n*bytesPerService*f.spec.Ports) > free {
			return fmt.Errorf("simulating %d Services takes about %d MB of memory, of which there are %d: ask for fewer", n, n*bytesPerService*f.spec.Ports>>20, free>>20)
		}
	}
	switch {
	case f.format != "text" && f.format != "json":
		return fmt.Errorf("unknown format %q: valid are text, json", f.format)
	case !slices.Contains(f.questions(), f.what):
		return fmt.Errorf("unknown question %q: valid are %s", f.what, strings.Join(f.questions(), ", "))
	case f.check < 0 || f.check > 0 && len(f.calibrate) == 0:
		return fmt.Errorf("check needs a positive number of Services, and --calibrate with the run to check against")
	case !(f.churn >= 1e-6 && f.churn <= 1e6): // nor NaN
		return fmt.Errorf("churn must be 0.000001 to 1000000 changes a second, got %g", f.churn)
	case !(f.minSync >= 0 && f.minSync <= 24*60*60): // nor NaN
		return fmt.Errorf("min-sync-period must be 0 to 86400 seconds, got %g", f.minSync)
	}
	return nil
}

// availableMemory is what processes can still take, 0 if that is not known.
func availableMemory() uint64 {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	m, err := fs.Meminfo()
	if err != nil || m.MemAvailable == nil {
		return 0
	}
	return *m.MemAvailable * 1024
}

// measured reads the runs to calibrate with.
func (f *simulateFlags) measured() (*simulate.Calibration, error) {
	var all *simulate.Calibration
	for _, dir := range f.calibrate {
		run, err := openRun(dir, f.stderr)
		if err != nil {
			return nil, err
		}
		s, err := summary.Of(run)
		if err != nil {
			return nil, err
		}
		one, err := simulate.Observe(f.modes, run, s)
		if err != nil {
			return nil, usageError{err}
		}
		if all == nil {
			all = one
		} else if err := all.Join(one); err != nil {
			return nil, usageError{err}
		}
	}
	return all, nil
}

func (f *simulateFlags) calibration() (*simulate.Calibration, error) {
	if len(f.calibrate) == 0 {
		return simulate.Default()
	}
	all, err := f.measured()
	if err != nil {
		return nil, err
	}
	c, err := all.Without(f.modes, func(int) bool { return false })
	if err != nil {
		return nil, usagef("calibrate with %s: %w", strings.Join(f.calibrate, ", "), err)
	}
	return c, nil
}

func (f *simulateFlags) runCheck(w io.Writer) error {
	all, err := f.measured()
	if err != nil {
		return err
	}
	checks, err := all.HeldOut(f.modes, func(services int) bool { return services > f.check })
	if err != nil {
		return usagef("calibrate with %s: %w", strings.Join(f.calibrate, ", "), err)
	}
	if f.format == "json" {
		return writeJSON(w, map[string]any{"fitted_up_to": f.check, "checks": checks})
	}
	return simulate.WriteChecks(w, checks, simulate.Median(checks), f.check)
}

// runChoices says which value of a parameter is best.
func (f *simulateFlags) runChoices(w io.Writer, c *simulate.Calibration) error {
	m := f.modes.With(f.what)[0]
	param, _ := m.Param(f.what)
	all := []map[string]any{}
	err := f.eachSize(func(t modes.Topology) error {
		list, err := c.Choices(m, param, t)
		if err != nil {
			return usageError{err}
		}
		if f.format == "json" {
			all = append(all, map[string]any{"simulated": true, "family": f.spec.Family, "services": t.Count(), "parameter": f.what, "choices": list})
			return nil
		}
		return simulate.WriteChoices(w, f.what, t.Count(), list)
	})
	if err != nil || f.format != "json" {
		return err
	}
	return writeJSON(w, all)
}

// runChurn says whether each mode keeps up, with updates that write the change
// only, everything, and one rule a call.
func (f *simulateFlags) runChurn(w io.Writer, c *simulate.Calibration) error {
	var rows []simulate.KeepUp
	err := f.each(func(m modes.Mode, t modes.Topology) error {
		list, err := c.KeepUp(m, f.argsOf(m), t, f.churn, f.minSync, f.spec.Seed)
		rows = append(rows, list...)
		return err
	})
	if err != nil {
		return err
	}
	if f.format == "json" {
		return writeJSON(w, map[string]any{"simulated": true, "family": f.spec.Family, "changes_per_second": f.churn, "min_sync_seconds": f.minSync, "modes": rows})
	}
	return simulate.WriteKeepUp(w, f.churn, f.minSync, rows)
}

func (f *simulateFlags) runEras(w io.Writer) error {
	list, err := simulate.PublishedJobs(f.spec)
	if err != nil {
		return err
	}
	if f.format == "json" {
		return writeJSON(w, map[string]any{"simulated": true, "family": f.spec.Family, "jobs": list})
	}
	return simulate.WriteEras(w, list)
}
