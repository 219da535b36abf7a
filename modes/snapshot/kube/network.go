package kube

import (
	"fmt"
	"net/netip"
	"slices"

	"viplab/modes"
)

// Network is the addresses of one family that a network has for Services.
type Network struct {
	// VIPs and Endpoints are where their addresses lie.
	VIPs, Endpoints netip.Prefix
	// Taken are ranges in them that belong to others.
	Taken []netip.Prefix
}

// Mapping is an address that was replaced.
type Mapping struct{ From, To netip.Addr }

// String is "10.0.0.1 -> 10.96.0.1".
func (m Mapping) String() string { return m.From.String() + " -> " + m.To.String() }

// Into is a Snapshot with its Services' addresses in some Networks, one of each family
// that it has. Addresses that lie there stay; every other is replaced by one of its own,
// the same wherever it occurs, with the same last bits if they are free, so that
// neighbours stay neighbours. Of a Service that is no other's endpoint the address is a
// VIP: ClusterIPs, external addresses, and balancers'.
func Into(s modes.Snapshot, nets ...Network) (modes.Snapshot, []Mapping, error) {
	m := newMapper(nets)
	for _, role := range []role{vip, endpoint} {
		for _, svc := range s.Services {
			for _, a := range role.of(svc) {
				if err := m.keep(a, role); err != nil {
					return s, nil, fmt.Errorf("service %s: %w", svc.Key(), err)
				}
			}
		}
	}
	var changed []Mapping
	for _, role := range []role{vip, endpoint} {
		for _, svc := range s.Services {
			for _, a := range role.of(svc) {
				if _, known := m.to[a]; known {
					continue
				}
				to, err := m.place(a, a, role)
				if err != nil {
					return s, nil, fmt.Errorf("service %s: %w", svc.Key(), err)
				}
				m.to[a] = to
				changed = append(changed, Mapping{a, to})
			}
		}
	}
	if len(changed) == 0 {
		return s, nil, nil
	}
	s.Services = slices.Clone(s.Services)
	for i, svc := range s.Services {
		s.Services[i] = m.moved(svc)
	}
	slices.SortFunc(s.Services, (*modes.Service).Compare)
	return s, changed, nil
}

// role is what an address is for.
type role bool

const (
	vip      role = false
	endpoint role = true
)

// of lists the addresses of a Service in a role.
func (r role) of(svc *modes.Service) []netip.Addr {
	if r == vip {
		return slices.Concat([]netip.Addr{svc.ClusterIP}, svc.ExternalIPs, svc.LoadBalancerIPs)
	}
	out := make([]netip.Addr, len(svc.Endpoints))
	for i, ep := range svc.Endpoints {
		out[i] = ep.Addr
	}
	return out
}

// mapper gives addresses out.
type mapper struct {
	nets map[modes.Family]Network
	to   map[netip.Addr]netip.Addr
	used map[netip.Addr]bool
	next map[netip.Prefix]netip.Addr // from where to look for a free one
}

func newMapper(nets []Network) *mapper {
	m := &mapper{map[modes.Family]Network{}, map[netip.Addr]netip.Addr{}, map[netip.Addr]bool{}, map[netip.Prefix]netip.Addr{}}
	for _, n := range nets {
		m.nets[modes.FamilyOf(n.VIPs.Addr())] = n
	}
	return m
}

// in is the range of the network for an address in a role.
func (m *mapper) in(a netip.Addr, r role) (netip.Prefix, error) {
	n, has := m.nets[modes.FamilyOf(a)]
	if !has {
		return netip.Prefix{}, fmt.Errorf("address %s: the network has no addresses of %s", a, modes.FamilyOf(a))
	}
	if r == vip {
		return n.VIPs, nil
	}
	return n.Endpoints, nil
}

// keep notes an address that stays.
func (m *mapper) keep(a netip.Addr, r role) error {
	if _, known := m.to[a]; known {
		return nil
	}
	in, err := m.in(a, r)
	if err == nil && in.Contains(a) && m.free(a) {
		m.to[a], m.used[a] = a, true
	}
	return err
}

// free tells whether an address is nobody's yet.
func (m *mapper) free(a netip.Addr) bool {
	return !m.used[a] && !slices.ContainsFunc(m.nets[modes.FamilyOf(a)].Taken, func(p netip.Prefix) bool { return p.Contains(a) })
}

// place finds an address for another one: that with the last bits of a third, or the next
// one that is free.
func (m *mapper) place(a, like netip.Addr, r role) (netip.Addr, error) {
	in, err := m.in(a, r)
	if err != nil {
		return a, err
	}
	first := in.Masked().Addr()
	at := withBits(in, like)
	if at == first || !m.free(at) {
		if at = m.next[in]; !in.Contains(at) {
			at = first.Next()
		}
		// Each look goes on where the last one ended, so that all take linear time.
		for ; !m.free(at); at = at.Next() {
			if !in.Contains(at) {
				return a, fmt.Errorf("address %s: all of %s is taken", a, in)
			}
		}
		m.next[in] = at.Next()
	}
	if !in.Contains(at) {
		return a, fmt.Errorf("address %s: all of %s is taken", a, in)
	}
	m.used[at] = true
	return at, nil
}

// withBits is the address of a range whose bits behind it are those of another address.
func withBits(in netip.Prefix, from netip.Addr) netip.Addr {
	out, bits := in.Masked().Addr().AsSlice(), from.AsSlice()
	for i := range out {
		host := min(max(8*(i+1)-in.Bits(), 0), 8)
		out[i] |= bits[i] & byte(1<<host-1)
	}
	a, _ := netip.AddrFromSlice(out)
	return a
}

// moved is a Service at the addresses that its own were mapped to.
func (m *mapper) moved(svc *modes.Service) *modes.Service {
	out := *svc
	all := func(list []netip.Addr) []netip.Addr {
		list = slices.Clone(list)
		for i, a := range list {
			list[i] = m.to[a]
		}
		return list
	}
	out.ClusterIP, out.ExternalIPs, out.LoadBalancerIPs = m.to[svc.ClusterIP], all(svc.ExternalIPs), all(svc.LoadBalancerIPs)
	out.Endpoints = slices.Clone(svc.Endpoints)
	for i := range out.Endpoints {
		out.Endpoints[i].Addr = m.to[out.Endpoints[i].Addr]
	}
	return &out
}
