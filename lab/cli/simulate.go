package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/prometheus/procfs"
	"github.com/spf13/cobra"

	"viplab/analysis/simulate"
	"viplab/analysis/summary"
	"viplab/modes/catalog"
	"viplab/modes/iptablestree"
	"viplab/modes/synth"
	"viplab/results"
)

type simulateFlags struct {
	sizes     []int
	modes     []string
	spec      synth.Spec
	fanout    int
	calibrate string
	check     int
	format    string
	what      string
	churn     float64
	minSync   float64
}

func simulateCommand() *cobra.Command {
	f := simulateFlags{sizes: []int{1, 1000, 5000, 20000, 50000, 200000, 1000000}, modes: catalog.Names(),
		spec: synth.Spec{Services: 1, Endpoints: 2, Ports: 1, Seed: 1}, fanout: iptablestree.DefaultFanout, minSync: 1}
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
  viplab simulate --check 5000 --calibrate results/runs/latest
  viplab simulate --what fanout --services 20000    # the best fan-out of the tree
  viplab simulate --what churn --churn 10 --min-sync-period 1 --services 20000
  viplab simulate --what eras                       # old kernels: 11 minutes and 5 hours?`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.OutOrStdout()) },
	}
	fl := cmd.Flags()
	fl.IntSliceVar(&f.sizes, "services", f.sizes, "numbers of Services")
	fl.StringSliceVar(&f.modes, "modes", f.modes, "modes to predict")
	fl.IntVar(&f.spec.Endpoints, "endpoints", f.spec.Endpoints, "endpoints of each Service")
	fl.IntVar(&f.spec.Ports, "ports", f.spec.Ports, "TCP ports of each Service")
	fl.Uint64Var(&f.spec.Seed, "seed", f.spec.Seed, "seed of addresses")
	fl.IntVar(&f.fanout, "fanout", f.fanout, "fan-out of iptables-tree")
	fl.StringVar(&f.calibrate, "calibrate", "", "take the costs of operations from the run in this directory")
	fl.IntVar(&f.check, "check", 0, "fit on sizes up to this and compare predictions of larger ones with what the run measured")
	fl.StringVar(&f.format, "format", "text", "text or json")
	fl.StringVar(&f.what, "what", "costs", "costs, fanout, churn or eras")
	fl.Float64Var(&f.churn, "churn", 10, "changes a second, for --what churn")
	fl.Float64Var(&f.minSync, "min-sync-period", f.minSync, "least seconds between two syncs, for --what churn")
	return cmd
}

func (f *simulateFlags) run(w io.Writer) error {
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
	switch f.what {
	case "fanout":
		return f.runFanout(w, c)
	case "churn":
		return f.runChurn(w, c)
	case "eras":
		return f.runEras(w)
	}
	var list []simulate.Prediction
	for _, n := range f.sizes {
		for _, m := range f.modes {
			spec := f.spec
			spec.Services = n
			p, err := c.Predict(m, spec, f.fanout)
			if err != nil {
				return usageError{err}
			}
			list = append(list, p)
		}
	}
	if f.format == "json" {
		return writeJSON(w, map[string]any{"simulated": true, "calibration": c, "predictions": list})
	}
	return simulate.WritePredictions(w, c, list)
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// bytesPerService is what the simulation of one mode holds of a Service: its
// address as a leaf, and that again while leaves are gathered.
const bytesPerService = 64

func (f *simulateFlags) validate() error {
	if len(f.sizes) == 0 || len(f.modes) == 0 {
		return fmt.Errorf("simulate needs at least one number of Services and one mode")
	}
	for _, m := range f.modes {
		if _, err := catalog.Find(m); err != nil {
			return err
		}
	}
	for _, n := range f.sizes {
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
	case f.what != "costs" && f.what != "fanout" && f.what != "churn" && f.what != "eras":
		return fmt.Errorf("unknown question %q: valid are costs, fanout, churn, eras", f.what)
	case f.check < 0 || f.check > 0 && f.calibrate == "":
		return fmt.Errorf("check needs a positive number of Services, and --calibrate with the run to check against")
	case f.churn <= 0 || f.minSync < 0:
		return fmt.Errorf("churn must be positive and min-sync-period not negative, got %g and %g", f.churn, f.minSync)
	}
	return iptablestree.CheckFanout(f.fanout)
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

// measured reads the run to calibrate with.
func (f *simulateFlags) measured() (*results.Run, *summary.Summary, error) {
	run, err := results.Open(f.calibrate)
	if err != nil {
		return nil, nil, usageError{err}
	}
	s, err := summary.Make(run.Records)
	return run, s, err
}

func (f *simulateFlags) calibration() (*simulate.Calibration, error) {
	if f.calibrate == "" {
		return simulate.Default()
	}
	run, s, err := f.measured()
	if err != nil {
		return nil, err
	}
	c, err := simulate.Calibrate(run, s, 0)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

func (f *simulateFlags) runCheck(w io.Writer) error {
	run, s, err := f.measured()
	if err != nil {
		return err
	}
	checks, median, err := simulate.HeldOut(run, s, f.check)
	if err != nil {
		return usageError{err}
	}
	if f.format == "json" {
		return writeJSON(w, map[string]any{"fitted_up_to": f.check, "checks": checks})
	}
	return simulate.WriteChecks(w, checks, median, f.check)
}

func (f *simulateFlags) runFanout(w io.Writer, c *simulate.Calibration) error {
	for _, n := range f.sizes {
		spec := f.spec
		spec.Services = n
		list, err := c.Fanouts(spec)
		if err != nil {
			return usageError{err}
		}
		if f.format == "json" {
			err = writeJSON(w, map[string]any{"simulated": true, "services": n, "fanouts": list})
		} else {
			err = simulate.WriteFanouts(w, n, list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runChurn says whether each mode keeps up, with updates that write the change
// only, everything, and one rule a call.
func (f *simulateFlags) runChurn(w io.Writer, c *simulate.Calibration) error {
	var rows []simulate.KeepUp
	for _, n := range f.sizes {
		for _, m := range f.modes {
			spec := f.spec
			spec.Services = n
			list, err := c.KeepUp(m, spec, f.fanout, f.churn, f.minSync)
			if err != nil {
				return usageError{err}
			}
			rows = append(rows, list...)
		}
	}
	if f.format == "json" {
		return writeJSON(w, map[string]any{"simulated": true, "changes_per_second": f.churn, "min_sync_seconds": f.minSync, "modes": rows})
	}
	return simulate.WriteKeepUp(w, f.churn, f.minSync, rows)
}

func (f *simulateFlags) runEras(w io.Writer) error {
	list, err := simulate.PublishedJobs(f.spec)
	if err != nil {
		return err
	}
	if f.format == "json" {
		return writeJSON(w, map[string]any{"simulated": true, "jobs": list})
	}
	return simulate.WriteEras(w, list)
}
