package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"viplab/lab/kernel"
	"viplab/lab/session"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
)

func (a app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what can run here, and what is missing",
		Long: `doctor tries every mode in every testbed and says for each whether it can run, or
what is missing and the command that mends it. Exit code 4 if some mode can run in
no testbed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.doctor(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

func (a app) doctor(ctx context.Context, out io.Writer) error {
	can := map[string]bool{}
	for _, tb := range doctorTestbeds() {
		fmt.Fprintf(out, "testbed %s\n", tb.label)
		asked := a.tried()
		lacks, err := session.Capabilities(ctx, tb, asked)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(out, "  cannot be used: %v\n", err)
			continue
		}
		for i, v := range asked {
			name := strings.Join(strings.Fields(fmt.Sprint(v.Mode, " ", v.Args, " ", v.Family)), " ")
			if l := lacks[i]; l != nil {
				fmt.Fprintf(out, "  %-22s %s\n", name, l.Err())
				continue
			}
			fmt.Fprintf(out, "  %-22s can run\n", name)
			can[v.Mode] = true
		}
	}
	fmt.Fprintln(out, "tools")
	var missing []error
	if _, err := kernel.LookTool("iperf3"); err != nil {
		missing = append(missing, &modes.MissingError{Need: "the tool iperf3", Mend: "sudo apt-get install iperf3"})
		fmt.Fprintln(out, "  iperf3                 missing; to mend: sudo apt-get install iperf3")
	} else {
		fmt.Fprintln(out, "  iperf3                 found")
	}
	for _, name := range a.modes.Usual().Names() {
		if !can[name] {
			missing = append(missing, &modes.MissingError{Need: "a testbed that can run mode " + name, Mend: "see above"})
		}
	}
	return errors.Join(missing...)
}

// labelled is a testbed and what to call it.
type labelled struct {
	testbed.Testbed
	label string
}

// doctorTestbeds is every testbed, and the guest with each built kernel as well.
func doctorTestbeds() []labelled {
	var out []labelled
	for _, tb := range testbed.All() {
		out = append(out, labelled{tb, tb.Name()})
	}
	built, err := kernel.List()
	if err != nil {
		return out // the guest works without
	}
	for _, k := range built {
		out = append(out, labelled{testbed.WithKernel(k), testbed.UMLName + ", kernel " + k.Name + " (" + k.Version + ")"})
	}
	return out
}

// tried lists what the doctor asks for: each mode, over both address families, and with
// those arguments that need more of the kernel or of rights than the default.
func (a app) tried() (out []trial.Variant) {
	for _, m := range a.modes {
		out = append(out, trial.VariantOf(m, nil, ""))
		if !m.Baseline {
			out = append(out, trial.VariantOf(m, nil, modes.Dual))
		}
		for _, p := range m.Params {
			for _, v := range p.Values {
				args := modes.Args{p.Name: v}
				if t := m.TraitsOf(args); v != p.Default && (t.Tunnel || t.RealRoot && !m.TraitsOf(nil).RealRoot) {
					out = append(out, trial.VariantOf(m, args, ""))
				}
			}
		}
	}
	return out
}
