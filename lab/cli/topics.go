package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"viplab/docs"
)

// topics are the pages of the handbook as topics of the command help: commands that cannot
// be run.
func topics() []*cobra.Command {
	pages, err := docs.Pages()
	if err != nil {
		return nil // TestTopics: not with the pages that are compiled in
	}
	all := make([]*cobra.Command, len(pages))
	for i, p := range pages {
		all[i] = &cobra.Command{Use: p.Name, Short: p.Title, Long: p.Text}
		all[i].SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), p.Text) })
	}
	return all
}
