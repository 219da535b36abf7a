package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"viplab/lab/kernel"
	"viplab/lab/session"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
)

func (a app) doctorCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what can run here, and what is missing",
		Long: `doctor tries every mode natively and in guests of user-mode-linux with the packaged and
each built kernel, and says for each whether it can run, or what is missing and the command
that mends it. The testbeds with an emulated processor (qemu, qemu-exact), which nothing
takes by itself, are not looked at. Exit code 4 if some mode can run in no testbed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if !asJSON {
				printed := ""
				return a.doctor(cmd.Context(), func(f finding) {
					if f.place() != printed {
						printed = f.place()
						fmt.Fprintln(out, printed)
					}
					fmt.Fprintln(out, f)
				})
			}
			var all []finding
			err := a.doctor(cmd.Context(), func(f finding) { all = append(all, f) })
			if cmd.Context().Err() != nil {
				return err
			}
			return errors.Join(writeJSON(out, all), err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// finding is what the doctor says of one thing.
type finding struct {
	// Testbed is where it was tried, empty for a tool.
	Testbed string `json:"testbed,omitempty"`
	// Name is that of the tool, or of the mode with its arguments and family; empty if the
	// testbed cannot be used at all.
	Name string `json:"name,omitempty"`
	OK   bool   `json:"ok"`
	// Why is why not, and what mends it.
	Why string `json:"why,omitempty"`
}

// place is the heading that a finding stands under.
func (f finding) place() string {
	if f.Testbed == "" {
		return "tools"
	}
	return "testbed " + f.Testbed
}

// String is the line of a finding, or the lines.
func (f finding) String() string {
	says := strings.ReplaceAll(f.Why, "\n", "\n"+strings.Repeat(" ", 25))
	switch {
	case f.Name == "":
		return "  cannot be used: " + f.Why
	case f.OK && f.Testbed == "":
		says = "found"
	case f.OK:
		says = "can run"
	}
	return fmt.Sprintf("  %-22s %s", f.Name, says)
}

// doctor tells of each thing as soon as it is known. The error is what no testbed has.
func (a app) doctor(ctx context.Context, tell func(finding)) error {
	can := map[string]bool{}
	for _, tb := range doctorTestbeds() {
		if a.try(ctx, tell, tb, can); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	var missing []error
	iperf := finding{Name: "iperf3", OK: true}
	if _, err := kernel.LookTool(iperf.Name); err != nil {
		missing = append(missing, &modes.MissingError{Need: "the tool iperf3", Mend: "sudo apt-get install iperf3"})
		iperf.OK, iperf.Why = false, "missing; to mend: sudo apt-get install iperf3"
	}
	tell(iperf)
	for _, name := range a.modes.Usual().Names() {
		if !can[name] {
			missing = append(missing, &modes.MissingError{Need: "a testbed that can run mode " + name, Mend: "see above"})
		}
	}
	return errors.Join(missing...)
}

// try tells what can run in a testbed, and notes the modes that can.
func (a app) try(ctx context.Context, tell func(finding), tb labelled, can map[string]bool) {
	asked, err := a.tried(), tb.err
	var lacks []*trial.Lack
	if err == nil {
		lacks, err = session.Capabilities(ctx, tb, asked)
	}
	if err != nil {
		tell(finding{Testbed: tb.label, Why: err.Error()})
		return
	}
	for i, v := range asked {
		f := finding{Testbed: tb.label, Name: strings.Join(strings.Fields(fmt.Sprint(v.Mode, " ", v.Args, " ", v.Family)), " ")}
		if l := lacks[i]; l != nil {
			f.Why = l.Err().Error()
		} else {
			f.OK, can[v.Mode] = true, true
		}
		tell(f)
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
