package nftables

import (
	"net/netip"

	"viplab/modes"
)

// Priorities of base chains: before nat's look at destinations (-100), at it, of
// filters, and at the look at sources.
const (
	beforeDNAT = -110
	atDNAT     = -100
	atFilter   = 0
	atSNAT     = 100
)

// base is the part of a Table that every Snapshot has: the sets, empty, and the fixed
// chains.
func base(o Options, in scope) Table {
	t := Table{Family: o.Family, Sets: append(commonSets(), layoutSets(o)...), Elements: in.served(o.Family)}
	if !in.allPorts {
		t.Sets = append(t.Sets, &Set{Name: nodePortIPs, Key: byDst()})
	}
	hook := func(name string, at HookPoint, kind string, priority int, rules ...Rule) {
		t.Chains = append(t.Chains, &Chain{Name: name, Hook: &Hook{at, kind, priority}, Rules: rules})
	}
	chain := func(name string, rules ...Rule) { t.Chains = append(t.Chains, &Chain{Name: name, Rules: rules}) }
	check := func(chain string) Rule { return Rule{If: []Match{NewFlow{}}, Do: []Statement{jump(chain)}} }

	chain(nodePortCheck, Rule{If: in.atNode(o.Family, false), Do: []Statement{Dispatch{byNodePort(), noEndpointNodePorts}}})
	chain(serviceCheck, Rule{Do: []Statement{Dispatch{byService(), noEndpointServices}}})
	chain(firewallCheck, Rule{Do: []Statement{Dispatch{byService(), firewallIPs}}})
	chain(clusterIPsCheck, Rule{If: []Match{InSet{byDst(), clusterIPs}}, Do: []Statement{Reject{}}})
	chain(rejectChain, Rule{Do: []Statement{Reject{}}})
	chain(servicesChain, services(o, in)...)
	chain(masquerading,
		Rule{If: []Match{Marked(MasqueradeMark)}, Do: []Statement{xorMark(MasqueradeMark), Masquerade{}}},
		Rule{If: []Match{Translated{}, InSet{byHairpin(), hairpins}}, Do: []Statement{Masquerade{}}})

	hook(preroutingPreDNAT, Prerouting, "filter", beforeDNAT, check(firewallCheck))
	hook(outputPreDNAT, Output, "filter", beforeDNAT, check(firewallCheck))
	// REJECT has to wait for these hooks: kernels before 5.9 cannot do it earlier.
	hook(filterInput, Input, "filter", atFilter, check(nodePortCheck), check(serviceCheck))
	hook(filterForward, Forward, "filter", atFilter, check(serviceCheck), check(clusterIPsCheck))
	hook(filterOutput, Output, "filter", atFilter, check(serviceCheck), check(clusterIPsCheck))
	hook(natPrerouting, Prerouting, "nat", atDNAT, Rule{Do: []Statement{jump(servicesChain)}})
	hook(natOutput, Output, "nat", atDNAT, Rule{Do: []Statement{jump(servicesChain)}})
	hook(natPostrouting, Postrouting, "nat", atSNAT, Rule{Do: []Statement{jump(masquerading)}})
	return t
}

// services is the chain that finds a packet's Service.
func services(o Options, in scope) []Rule {
	var out []Rule
	add := func(do Statement, matches ...Match) { out = append(out, Rule{If: matches, Do: []Statement{do}}) }
	atNode := in.atNode(o.Family, true)
	byCount := func(k Key, numbers string, matches ...Match) {
		if o.apply() != Tool {
			add(DispatchBy{k, numbers, balancers}, matches...)
			return
		}
		add(MarkBy{k, numbers}, matches...)
		add(Dispatch{byMark(), balancers})
	}
	if o.layout() == Count {
		byCount(byService(), serviceCounts)
	}
	if in.masquerades() {
		add(orMark(MasqueradeMark), append([]Match{InSet{byDst(), clusterIPs}}, in.outsiders()...)...)
	}
	if o.layout() == Direct {
		add(TranslateBy{byService(), singleEndpoints})
	}
	add(Dispatch{byService(), serviceIPs})
	if o.layout() == Count {
		byCount(byNodePort(), nodePortCounts, atNode...)
	}
	add(Dispatch{byNodePort(), serviceNodePorts}, atNode...)
	return out
}

// notLoopback: node ports are not to be had at loopback addresses.
func notLoopback(f modes.Family) Match {
	own := netip.MustParsePrefix("127.0.0.0/8")
	if f == modes.IPv6 {
		own = netip.MustParsePrefix("::1/128")
	}
	return InPrefix{Dst, own, true}
}

func commonSets() []*Set {
	return []*Set{
		{Name: clusterIPs, Key: byDst()},
		{Name: hairpins, Key: byHairpin()},
		{Name: serviceIPs, Key: byService(), Value: Verdicts},
		{Name: serviceNodePorts, Key: byNodePort(), Value: Verdicts},
		{Name: noEndpointServices, Key: byService(), Value: Verdicts},
		{Name: noEndpointNodePorts, Key: byNodePort(), Value: Verdicts},
		{Name: firewallIPs, Key: byService(), Value: Verdicts},
	}
}

// slotSets are the maps from a slot to an endpoint. The tool takes the type of such a
// map from an example of an expression, and with it a protocol: it needs one map for
// each.
func slotSets(o Options) (out []*Set) {
	protocols := []modes.Protocol{""}
	if o.apply() == Tool {
		protocols = modes.Protocols()
	}
	for _, p := range protocols {
		// The number of slots is the rules' affair; the set has to name one.
		out = append(out, &Set{Name: slotSet(serviceEndpoints, p), Key: slotOf(byService(), 2), Value: Targets, Protocol: p},
			&Set{Name: slotSet(nodePortEndpoints, p), Key: slotOf(byNodePort(), 2), Value: Targets, Protocol: p})
	}
	return out
}

// slotSet is the name of the map of a protocol, or of all if there is none.
func slotSet(name string, p modes.Protocol) string {
	if p == "" {
		return name
	}
	return name + "-" + string(p)
}

func layoutSets(o Options) []*Set {
	shared := slotSets(o)
	switch o.layout() {
	case Count:
		return append(shared,
			&Set{Name: serviceCounts, Key: byService(), Value: Numbers},
			&Set{Name: nodePortCounts, Key: byNodePort(), Value: Numbers},
			&Set{Name: balancers, Key: byMark(), Value: Verdicts})
	case Shared:
		return shared
	case Direct:
		return []*Set{{Name: singleEndpoints, Key: byService(), Value: Targets}}
	}
	return nil
}
