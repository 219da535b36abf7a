package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"viplab/lab/explain"
	"viplab/modes/packet/dump"
)

// rulesFlags say which dumps of a real node to explain, and what they do not tell.
type rulesFlags struct {
	files            []string
	addrs            []string
	client, before   string
	in, out, ctstate string
}

// rulesOnly are the flags that mean something with --rules alone.
var rulesOnly = []string{"node-addr", "client", "before", "in", "out", "state"}

func (f *rulesFlags) register(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.files, "rules", nil, "explain a real node instead: what iptables-save, ip6tables-save, nft -j list ruleset, "+
		"ipset save and ipvsadm -Sn wrote, in files, or - (may be repeated)")
	fl.StringSliceVar(&f.addrs, "node-addr", nil, "with --rules: the node's own addresses, first that by which it reaches endpoints (default: the lab's node)")
	fl.StringVar(&f.client, "client", "", "with --rules: the client's address (default: the lab's client)")
	fl.StringVar(&f.before, "before", "", "with --rules: the endpoint that the client had before, for iptables with session affinity (default: none)")
	fl.StringVar(&f.in, "in", "", "with --rules: the device by which packets come in (default: not known)")
	fl.StringVar(&f.out, "out", "", "with --rules: the device by which packets go out (default: not known)")
	fl.StringVar(&f.ctstate, "state", dump.States()[0], "with --rules: what conntrack takes packets for: "+strings.Join(dump.States(), ", "))
}

// check says which flags do not go together.
func (f *rulesFlags) check(changed func(string) bool, others []string) error {
	if len(f.files) == 0 {
		for _, name := range rulesOnly {
			if changed(name) {
				return usagef("--%s is for --rules", name)
			}
		}
		return nil
	}
	for _, name := range others {
		if changed(name) {
			return usagef("--rules and --%s exclude each other: the dumps are of one node, as it is", name)
		}
	}
	if !slices.Contains(dump.States(), f.ctstate) {
		return usagef("unknown state %q: valid are %s", f.ctstate, strings.Join(dump.States(), ", "))
	}
	return nil
}

// explainRules answers for the dumps of a node.
func (f *explainFlags) explainRules(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("packet") {
		f.Cases = nil
	}
	if len(f.Cases) > 0 {
		return usagef("--rules needs packets that are spelt out, such as \"client tcp 10.96.0.10:80\", not %q", f.Cases[0])
	}
	q := explain.RulesQuestion{Flows: f.Flows, Pick: f.Endpoint}
	if f.Endpoint < 0 {
		return usagef("there is no endpoint %d: they count from 0", f.Endpoint)
	}
	var err error
	for _, text := range f.rules.addrs {
		a, err := flagAddr("node-addr", text)
		if err != nil {
			return err
		}
		q.Node.Addrs = append(q.Node.Addrs, a)
	}
	if q.Client, err = flagAddr("client", f.rules.client); err != nil {
		return err
	}
	if q.Before, err = flagAddr("before", f.rules.before); err != nil {
		return err
	}
	q.Node.In, q.Node.Out, q.Node.State = f.rules.in, f.rules.out, f.rules.ctstate
	if q.Dump, err = dump.Read(f.rules.files, cmd.InOrStdin()); err != nil {
		return usageError{err}
	}
	answer, err := q.Run()
	if err != nil {
		return usageError{err}
	}
	answers := []explain.Answer{answer}
	if f.format == "json" {
		return writeJSON(cmd.OutOrStdout(), answers)
	}
	return explain.Write(cmd.OutOrStdout(), answers, f.list)
}

// flagAddr reads an address, or none.
func flagAddr(name, text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return a, usageError{fmt.Errorf("--%s: %q is no address", name, text)}
	}
	return a, nil
}
