package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"viplab/lab/bench"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/iptables"
)

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what can run here, and what is missing",
		Long: `doctor tries every mode in every testbed and says for each whether it can run, or
what is missing and the command that mends it. Exit code 4 if some mode can run in
no testbed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return doctor(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

func doctor(ctx context.Context, out io.Writer) error {
	can := map[string]bool{}
	for _, tb := range testbed.All() {
		fmt.Fprintf(out, "testbed %s\n", tb.Name())
		lacks, err := bench.Capabilities(ctx, tb, catalog.Names(), trial.Need{Backend: iptables.Legacy})
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(out, "  cannot be used: %v\n", err)
			continue
		}
		for _, m := range catalog.Names() {
			if l, bad := lacks[m]; bad {
				fmt.Fprintf(out, "  %-14s missing: %s; to mend: %s\n", m, l.Need, l.Mend)
			} else {
				can[m] = true
				fmt.Fprintf(out, "  %-14s can run\n", m)
			}
		}
		doctorNeed(ctx, out, tb, "IPv6", trial.Need{Backend: iptables.Legacy, Family: modes.Dual})
		doctorNeed(ctx, out, tb, "tunnels", trial.Need{Backend: iptables.Legacy, Tunnel: true})
	}
	fmt.Fprintln(out, "tools")
	var missing []error
	if _, err := exec.LookPath("iperf3"); err != nil {
		missing = append(missing, &modes.MissingError{Need: "the tool iperf3", Mend: "sudo apt-get install iperf3"})
		fmt.Fprintln(out, "  iperf3         missing; to mend: sudo apt-get install iperf3")
	} else {
		fmt.Fprintln(out, "  iperf3         found")
	}
	for _, m := range catalog.Names() {
		if !can[m] {
			missing = append(missing, &modes.MissingError{Need: "a testbed that can run mode " + m, Mend: "see above"})
		}
	}
	return errors.Join(missing...)
}

// doctorNeed says which modes can have something beside.
func doctorNeed(ctx context.Context, out io.Writer, tb testbed.Testbed, what string, need trial.Need) {
	names := catalog.Serving()
	if need.Tunnel {
		names = []string{"ipvs"}
	}
	lacks, err := bench.Capabilities(ctx, tb, names, need)
	if err != nil {
		fmt.Fprintf(out, "  %-14s cannot be tried: %v\n", what, err)
		return
	}
	var can []string
	for _, m := range names {
		if _, bad := lacks[m]; !bad {
			can = append(can, m)
		}
	}
	if len(can) == 0 {
		l := lacks[names[0]]
		fmt.Fprintf(out, "  %-14s missing: %s; to mend: %s\n", what, l.Need, l.Mend)
		return
	}
	fmt.Fprintf(out, "  %-14s in mode %s\n", what, strings.Join(can, ", "))
}
