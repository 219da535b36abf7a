package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"viplab/analysis/report"
	"viplab/results"
)

func reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR",
		Short: "Make plots and report again from a run's records",
		Long: `report reads samples.jsonl of a run directory, from this machine or another, also
of a run that was cut off, and writes summary, bench.txt, plots and report anew.`,
		Example: "  viplab report results/runs/latest",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("report takes one run directory, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := results.Open(args[0])
			if err != nil {
				return usageError{err}
			}
			for _, w := range run.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			if _, err := report.Write(run); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(args[0], results.ReportHTML))
			return nil
		},
	}
}
