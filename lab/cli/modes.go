package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"viplab/modes"
	"viplab/modes/catalog"
)

func (a app) modesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "modes",
		Short: "List the modes and what they need",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), describedModes(a.modes))
			}
			for _, m := range a.modes {
				needs := strings.Join(m.Needs, ", ")
				if needs == "" {
					needs = "nothing"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-20s %s\n%20s first packet: %s; needs %s in the kernel\n", m.Name, m.Summary, "", m.DataPath, needs)
				for _, p := range m.Params {
					fmt.Fprintf(cmd.OutOrStdout(), "%20s --%s %s (default %s)\n", "", p.Name, strings.Join(p.Values, ","), p.Default)
				}
			}
			return abilities(cmd.OutOrStdout(), a.modes.Serving())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// describedMode is what JSON has of a mode.
type describedMode struct {
	Name     string              `json:"name"`
	Summary  string              `json:"summary"`
	DataPath string              `json:"first_packet"`
	Needs    []string            `json:"needs"`
	Params   map[string][]string `json:"parameters"`
	// Lacks are the abilities that it has not, with the reason.
	Lacks map[modes.Ability]string `json:"lacks"`
}

func describedModes(all catalog.Catalog) []describedMode {
	var out []describedMode
	for _, m := range all {
		d := describedMode{Name: m.Name, Summary: m.Summary, DataPath: m.DataPath, Needs: m.Needs, Params: map[string][]string{}, Lacks: m.Limits}
		for _, p := range m.Params {
			d.Params[p.Name] = p.Values
		}
		out = append(out, d)
	}
	return out
}

// abilities prints what each mode can do, and why it cannot.
func abilities(w io.Writer, all catalog.Catalog) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := []string{"\nability"}
	for _, m := range all {
		head = append(head, m.Name)
	}
	fmt.Fprintln(tw, strings.Join(head, "\t"))
	var why []string
	for _, a := range modes.Abilities() {
		row := []string{string(a)}
		for _, m := range all {
			reason, lacks := m.Limits[a]
			if !lacks {
				row = append(row, "yes")
				continue
			}
			row = append(row, "no")
			why = append(why, fmt.Sprintf("%s, %s: %s", m.Name, a, reason))
		}
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nwhy not\n  %s\n", strings.Join(why, "\n  "))
	return err
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(cmd.OutOrStdout(), "viplab %s (%s)\n", version(), runtime.Version())
			return nil
		},
	}
}

// version is the commit that the binary was built from, as far as Go knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	if rev == "" {
		return "built without version control"
	}
	return rev + dirty
}
