package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"viplab/analysis/summary"
	"viplab/results"
)

func runsCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List runs, name them, delete old ones",
		Example: `  viplab runs
  viplab runs name 20261125T200144Z-8423f3 before
  viplab runs prune --keep 5 --delete`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := listRuns(dir)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			return writeRuns(cmd.OutOrStdout(), list)
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", runsDir, "folder of the runs")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.AddCommand(nameCommand(&dir), pruneCommand(&dir))
	return cmd
}

// listRuns lists the runs of a folder; one that is not there has none.
func listRuns(dir string) ([]results.Listed, error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, usagef("dir: %s is a file, not a folder of runs", dir)
	}
	return results.List(dir)
}

func nameCommand(dir *string) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "name RUN NAME",
		Short: "Give a run a name, under which it is found and never pruned",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("name takes a run and its name, got %s", summary.Count(len(args), "argument"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			err := results.NameRun(*dir, args[0], args[1], force)
			var taken *results.NameTakenError
			if errors.As(err, &taken) {
				return usagef("%w (--force moves it)", err)
			}
			if err != nil {
				return usageError{err}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "move a name that another run has")
	return cmd
}

func pruneCommand(dir *string) *cobra.Command {
	var keep int
	var really bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete all runs but the newest, the latest, and those that somebody named",
		Long: `prune lists the runs that --delete deletes: all but the newest, the latest, and those that
somebody named, by viplab runs name or by a folder that is not called TIME-HASH.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keep < 0 {
				return usagef("keep must not be negative, got %d", keep)
			}
			list, err := listRuns(*dir)
			if err != nil {
				return err
			}
			old := results.Prunable(list, keep)
			for _, l := range old {
				if really {
					err := results.DeleteRun(*dir, l.Name)
					var busy *results.BusyError
					if errors.As(err, &busy) {
						fmt.Fprintln(cmd.ErrOrStderr(), "not deleted:", err)
						continue
					}
					if err != nil {
						return err
					}
				}
				fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(*dir, l.Name))
			}
			switch {
			case len(old) == 0:
				fmt.Fprintf(cmd.ErrOrStderr(), "nothing to delete: of %d runs in %s the newest %d stay, the latest, and those that somebody named\n", len(list), *dir, keep)
			case !really:
				fmt.Fprintln(cmd.ErrOrStderr(), "nothing was deleted: --delete deletes these")
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&keep, "keep", 10, "how many of the newest runs stay")
	cmd.Flags().BoolVar(&really, "delete", false, "delete, instead of listing what would be")
	return cmd
}

// writeRuns is the list as a table.
func writeRuns(w io.Writer, list []results.Listed) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no runs")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "run\tnames\tbegun\ttestbed\tmodes\tServices\tsize")
	for _, l := range list {
		u := results.Bytes.For(float64(l.Bytes))
		begun := "-"
		if !l.Time.IsZero() {
			begun = l.Time.UTC().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s %s\n", l.Name, strings.Join(l.Links, " "), begun, l.Testbed, strings.Join(l.Modes, " "),
			strings.Trim(fmt.Sprint(l.Services), "[]"), summary.Number(float64(l.Bytes)/u.Scale), u.Name)
	}
	return tw.Flush()
}
