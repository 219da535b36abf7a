package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"viplab/analysis/advice"
	"viplab/modes"
	"viplab/modes/snapshot/given"
	"viplab/modes/snapshot/synth"
	"viplab/results"
)

func (a app) adviseCommand() *cobra.Command {
	var in advice.Input
	var budget time.Duration
	var asJSON bool
	var from clusterFlags
	cmd := &cobra.Command{
		Use:   "advise [RUN]",
		Short: "Say which mode does better at your number of Services, and which cannot be told apart",
		Long: `advise reads a run (its directory or its name; the latest if none is given) and says, at a number of
Services, which modes are ahead, which are behind and by how much, and which cannot be
told apart: intervals decide, not medians. At a number that was not measured it
simulates, with costs from the run, and says so. Beside it stands what each mode cannot
do. Without any run all of it is simulated. --from takes the Services of your own cluster:
their number, what they ask for, and, where it simulates, the rules that they take. Of two
address families the one with more Services counts, since each has rules of its own.`,
		Example: `  viplab advise
  viplab advise --services 5000 --changes 2 --budget 100ms
  kubectl get services,endpointslices -A -o yaml | viplab advise --from - --changes 2
  viplab advise --kernel 7.3 results/runs/latest --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("advise takes one run, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Budget = budget.Seconds()
			switch {
			case in.Services < 0 || in.Services > synth.MaxServices:
				return usagef("services must be 1 to %d, got %d", synth.MaxServices, in.Services)
			case !(in.Changes >= 0) || math.IsInf(in.Changes, 0): // nor NaN
				return usagef("changes must be a number a second, got %g", in.Changes)
			case budget < 0:
				return usagef("budget must not be negative, got %s", budget)
			}
			if err := from.advise(cmd, &in); err != nil {
				return usageError{err}
			}
			run, err := runOrLatest(args, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			out, err := advice.Advise(a.modes, run, in)
			if err != nil {
				return usageError{err}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), out)
			}
			return out.Write(cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	from.register(fl)
	fl.IntVar(&in.Services, "services", 0, "your number of Services (default that of --from, else the largest that was measured)")
	fl.Float64Var(&in.Changes, "changes", 0, "changes of Services or endpoints a second")
	fl.DurationVar(&budget, "budget", 100*time.Millisecond, "by how much longer than with the best mode a change may take")
	fl.StringVar(&in.Kernel, "kernel", "", "only what was measured on this kernel")
	fl.BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// advise takes the Services of a cluster, if one is named, into the input. A family's rules
// are apart from the other's: what counts is the Services of the one that has more.
func (f *clusterFlags) advise(cmd *cobra.Command, in *advice.Input) error {
	switch {
	case f.from == "" && f.node != "":
		return fmt.Errorf("--node is of a cluster: name it by --from")
	case f.from == "":
		return nil
	case in.Services > 0:
		return fmt.Errorf("--from and --services exclude each other: the cluster says how many it has")
	}
	c, err := f.read(cmd.InOrStdin())
	if err != nil {
		return err
	}
	in.Asked = c.Snapshot.Services
	if err := c.Write(cmd.ErrOrStderr()); err != nil {
		return err
	}
	if c.Families() == modes.Dual {
		all, family := len(c.Snapshot.Services), c.Larger()
		c.KeepFamilies(family)
		fmt.Fprintf(cmd.ErrOrStderr(), "advise goes by those of %s, %d of %d: a packet meets the rules of its own family alone\n", family, len(c.Snapshot.Services), all)
	}
	if err := c.Move(); err != nil {
		return err
	}
	in.Services, in.Topology = len(c.Snapshot.Services), given.Topology{Snapshot: c.Snapshot}
	return nil
}

// runOrLatest reads the run of an argument, or the latest one; without either it is nil.
func runOrLatest(args []string, stderr io.Writer) (*results.Run, error) {
	dir := filepath.Join(runsDir, results.LatestLink)
	if len(args) > 0 {
		dir = args[0]
	} else if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("look for the latest run: %w", err)
	}
	return openRun(dir, stderr)
}
