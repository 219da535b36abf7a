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
		Long: `doctor tries every mode natively and in guests of user-mode-linux with the packaged and
each built kernel, and says for each whether it can run, or what is missing and the command
that mends it. The testbeds with an emulated processor (qemu, qemu-exact), which nothing
takes by itself, are not looked at. Exit code 4 if some mode can run in no testbed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.doctor(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

func (a app) doctor(ctx context.Context, out io.Writer) error {
	can := map[string]bool{}
	for _, tb := range doctorTestbeds() {
		if a.try(ctx, out, tb, can); ctx.Err() != nil {
			return ctx.Err()
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

// try says what can run in a testbed, and notes the modes that can.
func (a app) try(ctx context.Context, out io.Writer, tb labelled, can map[string]bool) {
	fmt.Fprintf(out, "testbed %s\n", tb.label)
	asked, err := a.tried(), tb.err
	var lacks []*trial.Lack
	if err == nil {
		lacks, err = session.Capabilities(ctx, tb, asked)
	}
	if err != nil {
		fmt.Fprintf(out, "  cannot be used: %v\n", err)
		return
	}
	for i, v := range asked {
		name := strings.Join(strings.Fields(fmt.Sprint(v.Mode, " ", v.Args, " ", v.Family)), " ")
		if l := lacks[i]; l != nil {
			fmt.Fprintf(out, "  %-22s %s\n", name, strings.ReplaceAll(l.Err().Error(), "\n", "\n"+strings.Repeat(" ", 25)))
			continue
		}
		fmt.Fprintf(out, "  %-22s can run\n", name)
		can[v.Mode] = true
	}
}

// labelled is a testbed and what to call it.
type labelled struct {
	testbed.Testbed
	label string
	err   error // it cannot be used at all
}

// doctorTestbeds is every testbed that is chosen from, and the guest with each built kernel as
// well. One that is damaged is not started.
func doctorTestbeds() []labelled {
	var out []labelled
	for _, tb := range testbed.All() {
		out = append(out, labelled{Testbed: tb, label: tb.Name()})
	}
	built, err := kernel.List()
	if err != nil {
		return out // the guest works without
	}
	for _, k := range built {
		out = append(out, labelled{testbed.WithKernel(k), testbed.UMLName + ", kernel " + k.Name + " (" + k.Version + ")", k.Whole()})
	}
	return out
}

// tried lists what the doctor asks for: each mode, over both address families, and with
// those arguments that need more of the kernel or of rights than the default.
func (a app) tried() (out []trial.Variant) {
	for _, m := range a.modes {
		out = append(out, trial.VariantOf(m, nil, ""))
		if !m.Baseline && m.CheckFamily(modes.Dual) == nil {
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
