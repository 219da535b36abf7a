package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"viplab/modes/catalog"
)

func modesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "modes",
		Short: "List the modes and what they need",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, m := range catalog.All() {
				needs := strings.Join(m.Needs, ", ")
				if needs == "" {
					needs = "nothing"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-14s %s\n%14s first packet: %s; needs %s in the kernel\n", m.Name, m.Summary, "", m.DataPath, needs)
			}
			return nil
		},
	}
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
