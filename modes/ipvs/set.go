package ipvs

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"

	"viplab/modes"
)

// Set is one of the mode's ipsets.
type Set uint8

// The sets, as kube-proxy has them. The first three are always there, the others once a
// Service is reached from outside of the cluster.
const (
	NoSet Set = iota
	ClusterIPSet
	LoopBackSet // endpoints, for those that reach themselves through a Service
	BoundSet    // addresses that the mode has made the node's own
	ExternalIPSet
	ExternalLocalSet
	LoadBalancerSet
	BalancerLocalSet
	BalancerFWSet
	BalancerSourceSet
	BalancerSelfSet
	HealthCheckSet
	NodePortTCPSet
	NodePortUDPSet
	NodePortSCTPSet
	NodePortLocalTCPSet
	NodePortLocalUDPSet
	NodePortLocalSCTPSet
	endOfSets
)

// Types of sets.
const (
	hashIP        = "hash:ip"
	hashIPPort    = "hash:ip,port"
	hashIPPortIP  = "hash:ip,port,ip"
	hashIPPortNet = "hash:ip,port,net"
	bitmapPort    = "bitmap:port"
)

// String is the set's name in the kernel, for IPv4.
func (s Set) String() string {
	switch s {
	case ClusterIPSet:
		return "KUBE-CLUSTER-IP"
	case LoopBackSet:
		return "KUBE-LOOP-BACK"
	case BoundSet:
		return "KUBE-IPVS-IPS"
	case ExternalIPSet:
		return "KUBE-EXTERNAL-IP"
	case ExternalLocalSet:
		return "KUBE-EXTERNAL-IP-LOCAL"
	case LoadBalancerSet:
		return "KUBE-LOAD-BALANCER"
	case BalancerLocalSet:
		return "KUBE-LOAD-BALANCER-LOCAL"
	case BalancerFWSet:
		return "KUBE-LOAD-BALANCER-FW"
	case BalancerSourceSet:
		return "KUBE-LOAD-BALANCER-SOURCE-CIDR"
	case BalancerSelfSet:
		return "KUBE-LOAD-BALANCER-SOURCE-IP"
	case HealthCheckSet:
		return "KUBE-HEALTH-CHECK-NODE-PORT"
	}
	return s.nodePortName()
}

// nodePortName is the name of one of the sets of node ports. SCTP's are looked up by
// address too, as in kube-proxy.
func (s Set) nodePortName() string {
	switch s {
	case NodePortTCPSet:
		return "KUBE-NODE-PORT-TCP"
	case NodePortUDPSet:
		return "KUBE-NODE-PORT-UDP"
	case NodePortSCTPSet:
		return "KUBE-NODE-PORT-SCTP-HASH"
	case NodePortLocalTCPSet:
		return "KUBE-NODE-PORT-LOCAL-TCP"
	case NodePortLocalUDPSet:
		return "KUBE-NODE-PORT-LOCAL-UDP"
	case NodePortLocalSCTPSet:
		return "KUBE-NODE-PORT-LOCAL-SCTP-HASH"
	}
	return fmt.Sprintf("no set (%d)", uint8(s))
}

// kind is the set's type.
func (s Set) kind() string {
	switch s {
	case LoopBackSet, BalancerSelfSet:
		return hashIPPortIP
	case BoundSet:
		return hashIP
	case BalancerSourceSet:
		return hashIPPortNet
	case HealthCheckSet, NodePortTCPSet, NodePortUDPSet, NodePortLocalTCPSet, NodePortLocalUDPSet:
		return bitmapPort
	}
	return hashIPPort
}

// nodePortSet is the set of node ports of a protocol: of all, or of those of policy Local.
func nodePortSet(local bool, proto modes.Protocol) Set {
	s := NodePortTCPSet
	switch proto {
	case modes.UDP:
		s = NodePortUDPSet
	case modes.SCTP:
		s = NodePortSCTPSet
	}
	if local {
		s += NodePortLocalTCPSet - NodePortTCPSet
	}
	return s
}

// setsFor lists the sets that are needed, with those for Services that are reached from
// outside or without.
func setsFor(outside bool) []Set {
	last := BoundSet
	if outside {
		last = endOfSets - 1
	}
	var out []Set
	for s := ClusterIPSet; s <= last; s++ {
		out = append(out, s)
	}
	return out
}

// maxSetName is the kernel's limit for a set's name: IPSET_MAXNAMELEN less the zero.
const maxSetName = 31

// setName is the name of a set in the kernel: those of IPv6 are KUBE-6-*.
func (o Options) setName(s Set) string {
	name := s.String()
	if o.Family == modes.IPv6 {
		name = "KUBE-6-" + strings.TrimPrefix(name, "KUBE-")
		return name[:min(len(name), maxSetName)]
	}
	return name
}

// maxEntries is how many entries a hash may have. kube-proxy keeps to the kernel's
// default, 65536, and so cannot have more Service ports; but the number is a limit alone,
// for which the kernel sets nothing aside. This one is out of reach: the entries would
// take more than a gigabyte.
const maxEntries = 1 << 24

// CreateSets makes the sets that a Snapshot needs and that are not there yet, none where
// rules stand for them.
func CreateSets(o Options, s modes.Snapshot) error { return o.createSets(hasExternal(s)) }

func (o Options) createSets(outside bool) error {
	if o.byRules() {
		return nil
	}
	for _, s := range setsFor(outside) {
		options := netlink.IpsetCreateOptions{Replace: true, MaxElements: maxEntries, Family: uint8(o.Family.Domain())}
		if s.kind() == bitmapPort {
			options = netlink.IpsetCreateOptions{Replace: true, PortTo: 65535}
		}
		if err := netlink.IpsetCreate(o.setName(s), s.kind(), options); err != nil {
			return fmt.Errorf("create ipset %s of type %s: %w", o.setName(s), s.kind(), explain(err))
		}
	}
	return nil
}

// destroySets removes all of the mode's sets that are there.
func (o Options) destroySets() (errs []error) {
	for _, s := range setsFor(true) {
		if err := netlink.IpsetDestroy(o.setName(s)); err != nil && !isGone(err) {
			errs = append(errs, fmt.Errorf("destroy ipset %s: %w", o.setName(s), explain(err)))
		}
	}
	return errs
}

// entry is the set entry of an operation, as ipset writes it.
func (o Op) entry() string {
	at := o.VIP
	switch o.Set.kind() {
	case hashIP:
		return at.Addr().String()
	case hashIPPortIP:
		return fmt.Sprintf("%s,%s:%d,%s", at.Addr(), o.Proto, at.Port(), at.Addr())
	case hashIPPortNet:
		return fmt.Sprintf("%s,%s:%d,%s", at.Addr(), o.Proto, at.Port(), o.Source)
	case bitmapPort:
		return fmt.Sprint(at.Port())
	}
	return fmt.Sprintf("%s,%s:%d", at.Addr(), o.Proto, at.Port())
}

// entryOf is the operation that adds what the kernel lists as a set's entry.
func entryOf(s Set, e *netlink.IPSetEntry) Op {
	o := Op{Kind: AddEntry, Set: s, Proto: modes.TCP}
	var port uint16
	if e.Port != nil {
		port = *e.Port
	}
	if e.Protocol != nil {
		o.Proto = protocolOf(uint16(*e.Protocol))
	}
	addr, _ := netip.AddrFromSlice(e.IP)
	switch s.kind() {
	case hashIP:
		o.Proto = ""
	case bitmapPort:
		return Op{Kind: AddEntry, Set: s, VIP: netip.AddrPortFrom(netip.Addr{}, port)}
	case hashIPPortNet:
		source, _ := netip.AddrFromSlice(e.IP2)
		o.Source = netip.PrefixFrom(source, int(e.CIDR2))
	}
	o.VIP = netip.AddrPortFrom(addr, port)
	return o
}
