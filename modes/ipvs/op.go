package ipvs

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"viplab/modes"
)

// Kind is what an Op does.
type Kind uint8

// Operations on kernel objects.
const (
	AddAddress Kind = iota // VIP on kube-ipvs0
	AddServer              // virtual server
	AddReal                // real server
	AddEntry               // ipset entry
	DelEntry
	DelReal
	DelServer
	DelAddress
	SetServer // another persistence of a virtual server
	SetReal   // another weight of a real server
)

// Names of the objects, as kube-proxy has them.
const (
	Device       = "kube-ipvs0"      // the first; see [Devices]
	ClusterIPSet = "KUBE-CLUSTER-IP" // hash:ip,port
	LoopBackSet  = "KUBE-LOOP-BACK"  // hash:ip,port,ip

	// Of Services that are reached from outside of the cluster.
	ExternalIPSet     = "KUBE-EXTERNAL-IP"               // hash:ip,port
	ExternalLocalSet  = "KUBE-EXTERNAL-IP-LOCAL"         // hash:ip,port
	LoadBalancerSet   = "KUBE-LOAD-BALANCER"             // hash:ip,port
	BalancerLocalSet  = "KUBE-LOAD-BALANCER-LOCAL"       // hash:ip,port
	BalancerFWSet     = "KUBE-LOAD-BALANCER-FW"          // hash:ip,port
	BalancerSourceSet = "KUBE-LOAD-BALANCER-SOURCE-CIDR" // hash:ip,port,net
	NodePortSet       = "KUBE-NODE-PORT-"                // bitmap:port, SCTP-HASH hash:ip,port
	HealthCheckSet    = "KUBE-HEALTH-CHECK-NODE-PORT"    // bitmap:port
	NodePortLocalSet  = "KUBE-NODE-PORT-LOCAL-"          // the same
)

// setType is the type of a set.
func setType(name string) string {
	switch {
	case name == LoopBackSet:
		return "hash:ip,port,ip"
	case name == BalancerSourceSet:
		return "hash:ip,port,net"
	case name == HealthCheckSet, strings.HasPrefix(name, NodePortSet) && !strings.HasSuffix(name, "-HASH"):
		return "bitmap:port"
	}
	return "hash:ip,port"
}

// nodePortSet is the set of node ports of a protocol.
func nodePortSet(local bool, proto modes.Protocol) string {
	suffix := ""
	if proto == modes.SCTP {
		suffix = "-HASH" // SCTP's are looked up by address too, as in kube-proxy
	}
	if local {
		return NodePortLocalSet + strings.ToUpper(string(proto)) + suffix
	}
	return NodePortSet + strings.ToUpper(string(proto)) + suffix
}

// externalSets lists the sets that Services reached from outside need.
func externalSets() []string {
	out := []string{ExternalIPSet, ExternalLocalSet, LoadBalancerSet, BalancerLocalSet, BalancerFWSet, BalancerSourceSet, HealthCheckSet}
	for _, proto := range modes.Protocols() {
		out = append(out, nodePortSet(false, proto), nodePortSet(true, proto))
	}
	return out
}

// addressesPerDevice is how many VIPs a dummy device is meant for. The kernel
// walks all addresses of a device when one is added or deleted: with all VIPs on
// one device, as kube-proxy has it, a full sync is quadratic in part. At 20000
// Services it took 2.2 s with one device and 1.2 s with twenty, in the guest.
// See also [BindRoute].
const addressesPerDevice = 1024

// Devices is how many dummy devices a Snapshot of n Services gets: kube-ipvs0,
// kube-ipvs1 and so on. Up to 1023 Services it is one, as in kube-proxy.
func Devices(n int) int { return 1 + n/addressesPerDevice }

// Op is one operation on one kernel object.
type Op struct {
	Kind  Kind
	Set   string // of an entry
	Proto modes.Protocol
	VIP   netip.AddrPort
	Real  netip.AddrPort
	// Source is of an entry of a set of sources.
	Source netip.Prefix
	// Persist is for how many seconds a virtual server keeps a client's choice,
	// 0 for not at all.
	Persist uint32
	// Weight is a real server's.
	Weight uint16
	// Shared is of an address that several Services may have.
	Shared bool
}

// flag is ipvsadm's for a virtual server of the protocol.
func (o Op) flag() string {
	switch o.Proto {
	case modes.UDP:
		return "-u"
	case modes.SCTP:
		return "--sctp-service"
	}
	return "-t"
}

// protocolOf is the protocol of a number, TCP for others than those that the mode
// programs.
func protocolOf(number uint16) modes.Protocol {
	for _, p := range modes.Protocols() {
		if uint16(p.Number()) == number {
			return p
		}
	}
	return modes.TCP
}

// String is the command line that would do the same.
func (o Op) String() string {
	flag := o.flag()
	switch o.Kind {
	case AddAddress:
		return fmt.Sprintf("ip addr add %s dev %s", modes.Host(o.VIP.Addr()), Device)
	case DelAddress:
		return fmt.Sprintf("ip addr del %s dev %s", modes.Host(o.VIP.Addr()), Device)
	case AddServer, SetServer:
		persist := ""
		if o.Persist > 0 {
			persist = fmt.Sprintf(" -p %d", o.Persist)
		}
		verb := "-A"
		if o.Kind == SetServer {
			verb = "-E"
		}
		return fmt.Sprintf("ipvsadm %s %s %s -s rr%s", verb, flag, o.VIP, persist)
	case DelServer:
		return fmt.Sprintf("ipvsadm -D %s %s", flag, o.VIP)
	case AddReal:
		return fmt.Sprintf("ipvsadm -a %s %s -r %s -m -w %d", flag, o.VIP, o.Real, o.Weight)
	case SetReal:
		return fmt.Sprintf("ipvsadm -e %s %s -r %s -m -w %d", flag, o.VIP, o.Real, o.Weight)
	case DelReal:
		return fmt.Sprintf("ipvsadm -d %s %s -r %s", flag, o.VIP, o.Real)
	case AddEntry:
		return fmt.Sprintf("ipset add %s %s", o.Set, o.entry())
	case DelEntry:
		return fmt.Sprintf("ipset del %s %s", o.Set, o.entry())
	}
	return fmt.Sprintf("unknown operation %d", o.Kind)
}

// Plan lists the operations that carry out the changes, in an order in which
// no traffic meets a half-made Service: what a packet needs later is made
// earlier, and taken away in the opposite order. Only where a Service takes over
// another's address is the old one taken away first. The list is never held whole:
// at 20000 Services it would be 14 MB. nodes are the node's own addresses, on which
// node ports are served.
func Plan(changes []modes.Change, nodes ...netip.Addr) iter.Seq[Op] {
	return func(yield func(Op) bool) {
		if takesOver(changes) {
			if removals(changes, nodes, yield) {
				additions(changes, nodes, yield)
			}
			return
		}
		if additions(changes, nodes, yield) {
			removals(changes, nodes, yield)
		}
	}
}

// takesOver tells whether a Service gets an address that another one had.
func takesOver(changes []modes.Change) bool {
	if len(changes) < 2 {
		return false
	}
	had := map[netip.Addr]*modes.Service{}
	addrs := func(svc *modes.Service) []netip.Addr {
		return slices.Concat([]netip.Addr{svc.ClusterIP}, svc.ExternalIPs, svc.LoadBalancerIPs)
	}
	for _, c := range changes {
		if c.Old != nil {
			for _, a := range addrs(c.Old) {
				had[a] = c.Old
			}
		}
	}
	if len(had) == 0 {
		return false
	}
	for _, c := range changes {
		if c.New == nil {
			continue
		}
		for _, a := range addrs(c.New) {
			if o := had[a]; o != nil && o != c.Old {
				return true
			}
		}
	}
	return false
}

// additions yields what the changes add and alter, false if it was stopped.
func additions(changes []modes.Change, nodes []netip.Addr, yield func(Op) bool) bool {
	var from, to []Op
	for _, c := range changes {
		from, to = objects(from[:0], c.Old, nodes), objects(to[:0], c.New, nodes)
		for _, o := range to {
			if slices.Contains(from, o) {
				continue
			}
			if slices.ContainsFunc(from, o.same) {
				o.Kind = map[Kind]Kind{AddServer: SetServer, AddReal: SetReal}[o.Kind]
			}
			if !yield(o) {
				return false
			}
		}
	}
	return true
}

// removals yields what the changes take away, false if it was stopped.
func removals(changes []modes.Change, nodes []netip.Addr, yield func(Op) bool) bool {
	var from, to []Op
	for _, c := range changes {
		from, to = objects(from[:0], c.Old, nodes), objects(to[:0], c.New, nodes)
		for _, o := range slices.Backward(from) {
			if slices.Contains(to, o) || slices.ContainsFunc(to, o.same) {
				continue
			}
			o.Kind = DelAddress - o.Kind
			// Deleting a virtual server takes its real servers along.
			if o.Kind == DelReal && c.New == nil {
				continue
			}
			if !yield(o) {
				return false
			}
		}
	}
	return true
}

// same tells whether another operation is about the same virtual or real server.
func (o Op) same(other Op) bool {
	return (o.Kind == AddServer || o.Kind == AddReal) && other.Kind == o.Kind &&
		other.Proto == o.Proto && other.VIP == o.VIP && other.Real == o.Real
}

// objects appends what one Service needs, as the operations that add it.
func objects(ops []Op, svc *modes.Service, nodes []netip.Addr) []Op {
	if svc == nil {
		return ops
	}
	ops = append(ops, Op{Kind: AddAddress, VIP: netip.AddrPortFrom(svc.ClusterIP, 0)})
	for _, p := range svc.Ports {
		vip := netip.AddrPortFrom(svc.ClusterIP, p.Port)
		ops = serve(ops, svc, p, vip, inner(svc, p))
		ops = append(ops, Op{Kind: AddEntry, Set: ClusterIPSet, Proto: p.Protocol, VIP: vip})
		for _, ep := range svc.Reach(p).All {
			ops = append(ops, Op{Kind: AddEntry, Set: LoopBackSet, Proto: p.Protocol, Real: ep.At(p)})
		}
	}
	if svc.External() {
		ops = external(ops, svc, nodes)
	}
	return ops
}

// serve appends a virtual server with its real servers.
func serve(ops []Op, svc *modes.Service, p modes.ServicePort, vip netip.AddrPort, to []modes.Endpoint) []Op {
	ops = append(ops, Op{Kind: AddServer, Proto: p.Protocol, VIP: vip, Persist: uint32(svc.Affinity.Seconds())})
	for _, ep := range to {
		ops = append(ops, Op{Kind: AddReal, Proto: p.Protocol, VIP: vip, Real: ep.At(p), Weight: max(1, ep.Weight)})
	}
	return ops
}
