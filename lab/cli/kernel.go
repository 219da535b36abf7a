package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"viplab/lab/kernel"
	"viplab/modes"
)

func kernelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kernel",
		Short: "Build, list and remove kernels for the guest",
		Long: `kernel builds user-mode-linux kernels that have every data plane at once and need
neither root nor modules, from the kernel source that Debian packages or from
any other. They lie in $XDG_CACHE_HOME/viplab/kernels (else ~/.cache), for all
checkouts of viplab.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q of kernel: valid are build, list, remove, fetch", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(kernelBuildCommand(), kernelListCommand(), kernelRemoveCommand(), kernelFetchCommand())
	return cmd
}

func kernelBuildCommand() *cobra.Command {
	var o kernel.Options
	cmd := &cobra.Command{
		Use:   "build [VERSION]",
		Short: "Build a kernel: the newest one that Debian has source of, or VERSION (6.1, 6.12, ...)",
		Long: `build fetches kernel source from Debian's archive, with an apt configuration of its
own that leaves the system's alone, checks its signature, configures and compiles it.
It prints the path of the kernel. An interrupted build goes on where it stopped;
what is there already is not built again.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("kernel build takes one version, got %s", strings.Join(args, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Version = args[0]
			}
			o.Progress = cmd.ErrOrStderr()
			if f, ok := o.Progress.(*os.File); ok {
				o.Terminal = term.IsTerminal(int(f.Fd()))
			}
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			k, err := kernel.Build(cmd.Context(), o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), k.Path)
			return err
		},
	}
	cmd.Flags().StringVar(&o.Source, "source", "", "a folder or an archive with kernel source, in place of Debian's")
	cmd.Flags().StringVar(&o.Name, "name", "", "name of the kernel (default VERSION, or that of the source)")
	cmd.Flags().BoolVar(&o.SMP, "smp", false, "for several processors, named VERSION-smp: it has no time travel, and system calls cost more")
	cmd.Flags().BoolVar(&o.Force, "force", false, "build it anew also if it is there")
	cmd.Flags().IntVarP(&o.Jobs, "jobs", "j", 0, "compilers at once (default as many as processors)")
	return cmd
}

func kernelFetchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fetch",
		Short: "Fetch Debian's own kernel image, for testbed qemu",
		Long: `fetch takes the newest kernel image for virtual machines out of Debian's archive (some
30 MB), with an apt configuration of its own that leaves the system's alone, and checks
its signature. Testbeds qemu and qemu-exact boot it. It prints the path of the image.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			image, err := kernel.FetchImage(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), image.Path)
			return err
		},
	}
}

func kernelListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the kernels that a guest can have, the newest first",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := kernel.List()
			if err != nil {
				return err
			}
			packaged, err := kernel.Packaged(cmd.Context())
			if err != nil && !modes.IsMissing(err) {
				return err
			}
			if err == nil {
				all = append(all, packaged)
			}
			if err := printKernels(cmd.OutOrStdout(), all, asJSON); err != nil {
				return err
			}
			for _, k := range all {
				if err := k.Whole(); k.Source != "" && err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), "viplab:", err)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// printKernels writes a line a kernel, or JSON.
func printKernels(w io.Writer, all []kernel.Kernel, asJSON bool) error {
	type placed struct { // beside what its build wrote down, which may be moved
		kernel.Kernel
		Path string `json:"path"`
	}
	if asJSON {
		list := []placed{}
		for _, k := range all {
			list = append(list, placed{k, k.Path})
		}
		return writeJSON(w, list)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no kernel for the guest; to build one: viplab kernel build")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "name\tversion\tbuilt\tfrom\targuments\tlacks\tpath")
	for _, k := range all {
		built, from := "-", "packaged"
		if !k.Built.IsZero() {
			built, from = k.Built.Format("2006-01-02 15:04"), k.Source
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.Name, k.Version, built, from, orDash(k.Args), orDash(k.Lacks), k.Path)
	}
	return tw.Flush()
}

func orDash(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, " ")
}

func kernelRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a built kernel, and what an interrupted build of it left",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("kernel remove takes the name of one kernel, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			err := kernel.Remove(cmd.Context(), args[0], cmd.ErrOrStderr())
			if errors.Is(err, kernel.ErrUnknown) {
				return usageError{err}
			}
			return err
		},
	}
}
