package ipvs

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"viplab/modes"
)

// Kind is what an Op does.
type Kind uint8

// Operations on kernel objects, in the order in which objects are made; each deletion
// undoes what stands as far from the end as it from the start.
const (
	AddAddress Kind = iota // VIP local by kube-ipvs0
	AddServer              // virtual server
	AddReal                // real server
	AddEntry               // ipset entry
	DelEntry
	DelReal
	DelServer
	DelAddress
	SetServer // other terms of a virtual server
	SetReal   // another weight of a real server
)

// terms is what a kernel object has beside its name, and what may change while it stays.
type terms struct {
	// Persist is for how many seconds a virtual server keeps a client's choice,
	// 0 for not at all.
	Persist uint32
	// Weight is a real server's.
	Weight uint16
	// strange is set when the kernel's object differs in what is the same for all of the
	// mode's, such as the scheduler.
	strange bool
}

// Op is one operation on one kernel object.
type Op struct {
	Kind  Kind
	Set   Set // of an entry
	Proto modes.Protocol
	// VIP is an address (port 0), what a virtual server or the virtual server of a real
	// one serves, or what an entry holds.
	VIP  netip.AddrPort
	Real netip.AddrPort
	// Source is of an entry of a set of sources.
	Source netip.Prefix
	terms
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

// protocolOf is the protocol of a number, empty for others than those that the mode
// programs.
func protocolOf(number uint16) modes.Protocol {
	for _, p := range modes.Protocols() {
		if uint16(p.Number()) == number {
			return p
		}
	}
	return ""
}

// String is the command line that would do the same.
func (o Op) String() string {
	flag := o.flag()
	switch o.Kind {
	case AddAddress:
		return fmt.Sprintf("ip route add local %s dev %s metric %d", modes.Host(o.VIP.Addr()), Device, routeMetric)
	case DelAddress:
		return fmt.Sprintf("ip route del local %s dev %s", modes.Host(o.VIP.Addr()), Device)
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

// describe says for people what the operation does.
func (o Op) describe() string {
	verb := "add"
	switch o.Kind {
	case SetServer, SetReal:
		verb = "change"
	case DelAddress, DelServer, DelReal, DelEntry:
		verb = "delete"
	}
	server := fmt.Sprintf("virtual server %s %s", o.Proto, o.VIP)
	switch o.Kind {
	case AddAddress, DelAddress:
		return fmt.Sprintf("%s address %s", verb, o.VIP.Addr())
	case AddReal, SetReal, DelReal:
		return fmt.Sprintf("%s real server %s of %s", verb, o.Real, server)
	case AddEntry, DelEntry:
		return fmt.Sprintf("%s entry %s of ipset %s", verb, o.entry(), o.Set)
	}
	return verb + " " + server
}

// key is the name of a kernel object, small and without pointers, since there are
// hundreds of thousands.
type key struct {
	vip, other         [16]byte // other: the real server's address, or an entry's source
	port, otherPort    uint16
	kind               Kind // the one that makes it
	set                Set
	proto              uint8
	length             uint8 // of an entry's source range
	v4, otherV4, hasIP bool
}

// key names the object of an operation that makes it.
func (o Op) key() key {
	k := key{kind: o.Kind, set: o.Set, proto: o.Proto.Number(), port: o.VIP.Port()}
	if a := o.VIP.Addr(); a.IsValid() {
		k.vip, k.v4, k.hasIP = a.As16(), a.Is4(), true
	}
	other := o.Real.Addr()
	if k.otherPort = o.Real.Port(); o.Source.IsValid() {
		other, k.length = o.Source.Addr(), uint8(o.Source.Bits())
	}
	if other.IsValid() {
		k.other, k.otherV4 = other.As16(), other.Is4()
	}
	return k
}

// server is the key of a real server's virtual server.
func (k key) server() key {
	k.kind, k.other, k.otherPort, k.otherV4 = AddServer, [16]byte{}, 0, false
	return k
}

// op is the operation that makes the object, without its terms.
func (k key) op() Op {
	o := Op{Kind: k.kind, Set: k.set, Proto: protocolOf(uint16(k.proto))}
	var vip netip.Addr
	if k.hasIP {
		vip = address(k.vip, k.v4)
	}
	o.VIP = netip.AddrPortFrom(vip, k.port)
	switch {
	case k.kind == AddReal:
		o.Real = netip.AddrPortFrom(address(k.other, k.otherV4), k.otherPort)
	case k.set == BalancerSourceSet:
		o.Source = netip.PrefixFrom(address(k.other, k.otherV4), int(k.length))
	}
	return o
}

func address(b [16]byte, v4 bool) netip.Addr {
	if a := netip.AddrFrom16(b); !v4 {
		return a
	}
	return netip.AddrFrom16(b).Unmap()
}

// compare orders objects by how they are made, then by name.
func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.kind, o.kind), cmp.Compare(k.set, o.set), strings.Compare(string(k.vip[:]), string(o.vip[:])),
		cmp.Compare(k.port, o.port), cmp.Compare(k.proto, o.proto), strings.Compare(string(k.other[:]), string(o.other[:])),
		cmp.Compare(k.otherPort, o.otherPort), cmp.Compare(k.length, o.length))
}
