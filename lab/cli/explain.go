package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"viplab/lab/explain"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

func (a app) explainCommand() *cobra.Command {
	q := explain.Question{Synth: synth.Spec{Services: 8, Endpoints: 2, Ports: 1, Seed: 1}, Known: a.modes, Modes: a.modes.Usual().Names(), Cases: []string{explain.FromClient}}
	args := map[string]*string{}
	var to, format string
	var programs bool
	family := string(modes.IPv4)
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Show what each mode programs, and one packet's way through it",
		Long: `explain plans a small topology in each mode and follows one packet through it,
step by step: hook, chain, rule, set, virtual server, verdict, and how many
operations that takes. It needs no kernel and no rights.`,
		Example: `  viplab explain                                  # the last of 8 Services, from a client
  viplab explain --modes iptables --packet all
  viplab explain --services 1000 --to middle --modes iptables,iptables-tree
  viplab explain --modes ipvs --services 2 --rules --format text
  viplab explain --modes ipvs --lookup rules --packet all   # what ipsets spare
  viplab explain --family ipv6 --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return usagef("unknown format %q: valid are text, json", format)
			}
			if slices.Contains(q.Cases, "all") {
				q.Cases = explain.Cases()
			}
			if !slices.Contains([]string{string(modes.IPv4), string(modes.IPv6)}, family) {
				return usagef("unknown family %q: a packet is of ipv4 or ipv6", family)
			}
			q.Synth.Family = modes.Family(family)
			var err error
			if q.Position, err = position(to, q.Synth.Services); err != nil {
				return err
			}
			q.Args = modes.Args{}
			for name, v := range args {
				q.Args[name] = *v
			}
			answers, err := explain.Run(q)
			if err != nil {
				return usageError{err}
			}
			if format == "text" {
				return explain.Write(cmd.OutOrStdout(), answers, programs)
			}
			b, err := json.MarshalIndent(answers, "", "  ")
			if err != nil {
				return fmt.Errorf("encode answer: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(append(b, '\n'))
			return err
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&q.Synth.Services, "services", q.Synth.Services, "number of Services")
	fl.IntVar(&q.Synth.Endpoints, "endpoints", q.Synth.Endpoints, "endpoints of each Service")
	fl.IntVar(&q.Synth.Ports, "ports", q.Synth.Ports, "TCP ports of each Service")
	fl.Uint64Var(&q.Synth.Seed, "seed", q.Synth.Seed, "seed of addresses")
	fl.StringSliceVar(&q.Modes, "modes", q.Modes, "modes to explain")
	fl.StringSliceVar(&q.Cases, "packet", q.Cases, "packets to follow: all, client, node, hairpin, no-endpoints, wrong-port")
	fl.StringVar(&to, "to", "last", "the Service that is dialled: first, middle, last, or its number from 1")
	fl.IntVar(&q.Endpoint, "endpoint", q.Endpoint, "the endpoint that chance chooses, from 0")
	fl.StringVar(&family, "family", family, "address family: ipv4, ipv6")
	for _, p := range a.modes.Params() {
		args[p.Name] = fl.String(p.Name, p.Default, paramHelp(p))
	}
	fl.BoolVar(&programs, "rules", false, "list all that each mode programs too")
	fl.StringVar(&format, "format", "text", "text or json")
	return cmd
}

// position reads a Service's position.
func position(s string, services int) (int, error) {
	switch s {
	case "first":
		return 0, nil
	case "middle":
		return (services - 1) / 2, nil
	case "last":
		return services - 1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, usagef("to must be first, middle, last or a number from 1, got %q", s)
	}
	return n - 1, nil
}
