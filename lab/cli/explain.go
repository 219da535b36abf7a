package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"viplab/lab/explain"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// explainFlags are the flags of explain.
type explainFlags struct {
	app
	explain.Question
	clusterFlags
	rules      rulesFlags
	args       map[string]*string
	packets    []string
	to, format string
	family     string
	list       bool
}

func (a app) explainCommand() *cobra.Command {
	f := explainFlags{app: a, args: map[string]*string{}, packets: []string{explain.FromClient}, family: string(modes.IPv4),
		Question: explain.Question{Synth: synth.Spec{Services: 8, Endpoints: 2, Ports: 1, Seed: 1}, Known: a.modes, Modes: a.modes.Usual().Planned().Names()}}
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Show what each mode programs, and one packet's way through it",
		Long: `explain plans a small topology, or your own cluster, in each mode and follows packets
through it, step by step: hook, chain, rule, set, virtual server, verdict, and how many
operations that takes. It needs no kernel and no rights.`,
		Example: `  viplab explain                                  # the last of 8 Services, from a client
  viplab explain --modes iptables --packet all
  viplab explain --services 1000 --to middle --modes iptables,iptables-tree
  viplab explain --modes ipvs --services 2 --list --format text
  viplab explain --modes ipvs --lookup rules --packet all   # what ipsets spare
  viplab explain --from cluster.yaml --to shop/web --modes iptables,nftables
  viplab explain --from cluster.yaml --packet "client tcp 192.0.2.10:443" --packet "node udp [fd00::a]:53"
  viplab explain --rules iptables.txt --node-addr 192.0.2.5 --packet "client tcp 10.96.0.10:80"   # a real node's rules
  viplab explain --family ipv6 --format json`,
		Args: noArgs,
		RunE: f.run,
	}
	fl := cmd.Flags()
	fl.IntVar(&f.Synth.Services, "services", f.Synth.Services, "number of Services")
	fl.IntVar(&f.Synth.Endpoints, "endpoints", f.Synth.Endpoints, "endpoints of each Service")
	fl.IntVar(&f.Synth.Ports, "ports", f.Synth.Ports, "TCP ports of each Service")
	fl.Uint64Var(&f.Synth.Seed, "seed", f.Synth.Seed, "seed of addresses")
	fl.StringSliceVar(&f.Modes, "modes", f.Modes, "modes to explain")
	fl.StringArrayVar(&f.packets, "packet", f.packets, "packets to follow: "+strings.Join(append(explain.Cases(), "all"), ", ")+
		", or any such as \"client tcp 10.96.0.10:80\", from client, node or an endpoint's address")
	fl.StringVar(&f.to, "to", "last", "the Service that is dialled: first, middle, last, its number from 1, or NAMESPACE/NAME")
	fl.IntVar(&f.Endpoint, "endpoint", f.Endpoint, "the endpoint that chance chooses, from 0")
	fl.StringVar(&f.family, "family", f.family, "address family: ipv4, ipv6")
	for _, p := range a.modes.Params() {
		f.args[p.Name] = fl.String(p.Name, p.Default, paramHelp(p))
	}
	fl.BoolVar(&f.list, "list", false, "list all that each mode programs too")
	fl.StringVar(&f.format, "format", "text", "text or json")
	f.clusterFlags.register(fl)
	f.rules.register(fl)
	fl.StringSliceVar(&f.ranges, "cluster-cidr", nil, "with --from: the ranges of the pods, which Kubernetes objects do not tell")
	return cmd
}

func (f *explainFlags) run(cmd *cobra.Command, _ []string) error {
	if f.format != "text" && f.format != "json" {
		return usagef("unknown format %q: valid are text, json", f.format)
	}
	if !slices.Contains([]string{string(modes.IPv4), string(modes.IPv6)}, f.family) {
		return usagef("unknown family %q: a packet is of ipv4 or ipv6", f.family)
	}
	f.Synth.Family = modes.Family(f.family)
	if err := f.readPackets(); err != nil {
		return usageError{err}
	}
	if err := f.rules.check(cmd.Flags().Changed, f.exceptRules()); err != nil {
		return err
	}
	if len(f.rules.files) > 0 {
		return f.explainRules(cmd)
	}
	if f.from != "" {
		if err := f.given(cmd); err != nil {
			return usageError{err}
		}
	}
	var err error
	if f.Position, err = f.position(); err != nil {
		return err
	}
	f.Args = modes.Args{}
	for name, v := range f.args {
		f.Args[name] = *v
	}
	answers, err := explain.Run(f.Question)
	if err != nil {
		return usageError{err}
	}
	for _, m := range f.modes.Usual() {
		if m.Program == nil && !cmd.Flags().Changed("modes") {
			fmt.Fprintf(cmd.ErrOrStderr(), "left out: %v\n", &modes.NoPlanError{Mode: m.Name, What: "followed"})
		}
	}
	if f.format == "json" {
		return writeJSON(cmd.OutOrStdout(), answers)
	}
	return explain.Write(cmd.OutOrStdout(), answers, f.list)
}

// exceptRules lists the flags that say what to plan, which the dumps of a node leave no
// room for.
func (f *explainFlags) exceptRules() []string {
	return append(slices.Sorted(maps.Keys(f.args)), "services", "endpoints", "ports", "seed", "modes", "to", "family", "from", "node", "cluster-cidr")
}

// readPackets tells the cases from packets that are spelt out.
func (f *explainFlags) readPackets() error {
	f.Cases, f.Flows = nil, nil
	for _, text := range f.packets {
		if strings.Contains(strings.TrimSpace(text), " ") {
			flow, err := modes.ParseFlow(text)
			if err != nil {
				return err
			}
			f.Flows = append(f.Flows, flow)
			continue
		}
		for _, c := range strings.Split(text, ",") {
			if c == "all" {
				f.Cases = append(f.Cases, explain.Cases()...)
			} else {
				f.Cases = append(f.Cases, c)
			}
		}
	}
	return nil
}

// given takes the Services from a user's cluster, as they are.
func (f *explainFlags) given(cmd *cobra.Command) error {
	for _, name := range []string{"services", "endpoints", "ports", "seed", "family"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--from and --%s exclude each other", name)
		}
	}
	c, err := f.read(cmd.InOrStdin())
	if err != nil {
		return err
	}
	if c.Snapshot, err = c.At(topo.NodeAddrs(), f.ranges); err != nil {
		return err
	}
	if !cmd.Flags().Changed("modes") {
		f.Modes = f.modes.Usual().Serving().Planned().Names()
	}
	f.Given = &c.Snapshot
	return c.Write(cmd.ErrOrStderr())
}

// position finds the Service that is dialled.
func (f *explainFlags) position() (int, error) {
	if f.Given == nil {
		return position(f.to, f.Synth.Services)
	}
	if i := slices.IndexFunc(f.Given.Services, func(svc *modes.Service) bool { return svc.Key() == f.to }); i >= 0 {
		return i, nil
	}
	if strings.Contains(f.to, "/") {
		return 0, usagef("there is no Service %s in %s, or no proxy serves it", f.to, f.from)
	}
	return position(f.to, len(f.Given.Services))
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
		return 0, usagef("to must be first, middle, last, a number from 1 or NAMESPACE/NAME of --from, got %q", s)
	}
	return n - 1, nil
}
