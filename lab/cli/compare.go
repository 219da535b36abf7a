package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"viplab/analysis/compare"
	"viplab/analysis/summary"
	"viplab/results"
)

func compareCommand() *cobra.Command {
	var failAbove, format string
	var o compare.Options
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "compare A [B]",
		Short: "Compare two runs, cell by cell, with significance",
		Long: `compare sets two runs (directories or names) side by side: for each quantity the
change from A to B with its 95 % interval, and whether chance alone would explain it
(Mann-Whitney, by rounds). Runs of different testbeds, kernels or CPUs are refused
unless --force is given; --across lets variants meet that differ in a key, for
example one kernel or backend in A and another in B. One run alone is compared with itself, its even rounds
with its odd ones, which shows how far the machine drifts. With --fail-above the exit code is 1 if anything became
worse by more than that share, with the whole interval.`,
		Example: `  viplab compare results/runs/before results/runs/latest
  viplab compare --fail-above 5% --format markdown before after
  viplab compare --across backend legacy-run nft-run`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usagef("compare takes one or two runs, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(compare.Formats(), format) {
				return usagef("unknown format %q: valid are %v", format, compare.Formats())
			}
			if asJSON && cmd.Flags().Changed("format") && format != "json" {
				return usagef("--json and --format %s exclude each other", format)
			} else if asJSON {
				format = "json"
			}
			var limit results.Portion
			if failAbove != "" {
				if err := limit.Set(failAbove); err != nil {
					return usagef("fail-above must be a share such as 5%% or 0.05, got %q", failAbove)
				}
			}
			c, err := compareDirs(args, o, cmd.ErrOrStderr())
			var different *compare.DifferentError
			switch {
			case !errors.As(err, &different):
			case different.Forced:
				return usagef("%w (--force compares nevertheless what has a counterpart)", err)
			default:
				return usageError{err}
			}
			if err != nil {
				return err
			}
			if err := c.Write(cmd.OutOrStdout(), format, all); err != nil {
				return err
			}
			if failAbove == "" {
				return nil
			}
			return gate(c, float64(limit), failAbove)
		},
	}
	cmd.Flags().StringVar(&failAbove, "fail-above", "", "exit with 1 if anything became worse by more than this, for example 5%")
	cmd.Flags().StringVar(&format, "format", "text", "text, markdown or json")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	cmd.Flags().BoolVar(&o.Anyway, "force", false, "compare runs of different testbeds, kernels or CPUs")
	cmd.Flags().StringSliceVar(&o.Across, "across", nil, "match variants that differ in these keys between the runs: kernel, testbed, or a mode's parameter")
	cmd.Flags().BoolVar(&all, "all", false, "list cells without a significant change too")
	return cmd
}

// gate fails if anything became worse by more than a share, and also if nobody can tell: it
// does not pass because there was nothing to compare.
func gate(c *compare.Comparison, limit float64, text string) error {
	if worse := c.Worsened(limit); len(worse) > 0 {
		return thresholdError{fmt.Errorf("%d of %s became worse by more than %s, the first: %s", len(worse), summary.Count(len(c.Rows), "cell"), text, worse[0].Name())}
	}
	if len(c.Cut) > 0 {
		return thresholdError{fmt.Errorf("a limit of time cut off %s in %s and not in %s, the first: %s", summary.Count(len(c.Cut), "cell"), c.B, c.A, c.Cut[0])}
	}
	if c.Judged() == 0 {
		return thresholdError{fmt.Errorf("none of %s has the four rounds in each run that it takes to tell whether it became worse: measure with --repeat 4 or more", summary.Count(len(c.Rows), "cell"))}
	}
	if len(c.Lost) > 0 {
		return thresholdError{fmt.Errorf("variants or sizes of %s of which there is nothing in %s: %d, the first: %s%s", c.A, c.B, len(c.Lost), c.Lost[0], c.Hint())}
	}
	return nil
}

// compareDirs compares two runs, or one with itself.
func compareDirs(dirs []string, o compare.Options, stderr io.Writer) (*compare.Comparison, error) {
	var runs []*results.Run
	for _, dir := range dirs {
		run, err := openRun(dir, stderr)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	if len(runs) == 2 {
		return compare.Runs(runs[0], runs[1], o)
	}
	c, err := compare.Halves(runs[0])
	if err == nil && c == nil {
		return nil, usagef("%s has too few rounds to be compared with itself: eight are the least", dirs[0])
	}
	return c, err
}
