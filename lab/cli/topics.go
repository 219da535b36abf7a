package cli

import (
	"fmt"
	"strings"

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

// helpCommand shows a command's help or a page. It stands in for cobra's own, to which a
// name that nothing has is no error, and which completes commands alone.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command or page]",
		Short: "Show the help of a command, or a page of the handbook",
		ValidArgsFunction: func(help *cobra.Command, args []string, typed string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
			of, rest, err := help.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, c := range of.Commands() {
				if (c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand()) && strings.HasPrefix(c.Name(), typed) {
					out = append(out, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(help *cobra.Command, args []string) error {
			of, rest, err := help.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("help: there is no command and no page %q: viplab help lists both", strings.Join(args, " "))
			}
			of.InitDefaultHelpFlag() // so that it is listed
			return of.Help()
		},
	}
}
