package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"viplab/results"
)

func packCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "pack RUN",
		Short: "Pack a run to be sent: one small archive with its records and its report",
		Long: `pack writes a tar.gz of what was measured (records, configuration, environment) and of
the report. Plots and bench.txt are left out: report makes them again from the records.`,
		Example: `  viplab pack results/runs/latest
  tar xzf 20261125T200144Z-8423f3.tar.gz && viplab report 20261125T200144Z-8423f3`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("pack takes one run, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := runDir(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				real, err := filepath.EvalSymlinks(dir)
				if err != nil {
					return usagef("%s is no run directory: %w", dir, err)
				}
				out = filepath.Base(real) + ".tar.gz"
			}
			if err := pack(out, dir); err != nil {
				return unlessMachine(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), out)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write, which must not be there (default the run's name with .tar.gz)")
	return cmd
}

// pack writes a run into a new file, and leaves none behind that is not whole.
func pack(out, dir string) error {
	f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("pack %s: %s exists already: --out names another file", dir, out)
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", dir, err)
	}
	if err := errors.Join(results.Pack(f, dir), f.Close()); err != nil {
		return errors.Join(err, os.Remove(out))
	}
	return nil
}
