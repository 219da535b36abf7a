package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"viplab/analysis/report"
	"viplab/results"
)

func (a app) reportCommand() *cobra.Command {
	var out string
	var force bool
	cmd := &cobra.Command{
		Use:   "report RUN...",
		Short: "Make plots and report again from the records of one or more runs",
		Long: `report reads samples.jsonl of runs (directories or names), from this machine or
another, also of runs that were cut off, and writes summary, bench.txt, plots (SVG,
PNG, CSV) and report anew. Of several runs it makes one report with a series each, in a directory
of its own; runs of different testbeds or kernels only with --force.`,
		Example: `  viplab report results/runs/latest
  viplab report --out review before after`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("report takes at least one run")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var runs []*results.Run
			for _, dir := range args {
				run, err := openRun(dir, cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				runs = append(runs, run)
			}
			if err := unlessRun(out, runs); err != nil {
				return err
			}
			if len(runs) > 1 && out == "" {
				out = filepath.Join(runsDir, "report-"+time.Now().UTC().Format("20060102T150405Z"))
			}
			run, err := report.Combine(runs, out, force)
			var mixed *report.MixedError
			if errors.As(err, &mixed) {
				return usagef("%w (--force sets them side by side nevertheless)", err)
			}
			if err != nil {
				return err
			}
			if out != "" {
				run.Home, run.Dir = run.Dir, out
			}
			if _, err := report.Write(run, a.modes); err != nil {
				return unlessMachine(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(run.Dir, results.ReportHTML))
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory for the report (default the run's own, of several "+runsDir+"/report-TIME)")
	cmd.Flags().BoolVar(&force, "force", false, "set runs of different testbeds or kernels side by side")
	return cmd
}

// unlessRun refuses a directory for a report that has a run of its own, whose report it would
// write over, unless that is the one run that is reported.
func unlessRun(out string, runs []*results.Run) error {
	if out == "" {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(out, results.SamplesFile)); err != nil {
		return nil
	}
	a, errA := os.Stat(out)
	b, errB := os.Stat(runs[0].Dir)
	if len(runs) == 1 && errors.Join(errA, errB) == nil && os.SameFile(a, b) {
		return nil
	}
	return usagef("--out %s has a run of its own, whose summary and report would be written over: choose another folder", out)
}
