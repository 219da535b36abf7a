package modes

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Family is an address family.
type Family string

// The families. Dual is both at once: every Service has a VIP and endpoints of
// each.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
	Dual Family = "dual"
)

// Families lists them, the default first.
func Families() []Family { return []Family{IPv4, IPv6, Dual} }

// Parts lists the families that a family is made of: both if it is [Dual], IPv4 if it
// is empty.
func (f Family) Parts() []Family {
	switch f {
	case Dual:
		return []Family{IPv4, IPv6}
	case "":
		return []Family{IPv4}
	}
	return []Family{f}
}

// Has tells whether a family is, or includes, another.
func (f Family) Has(one Family) bool { return slices.Contains(f.Parts(), one) }

// Domain is the socket domain of one family, which netlink uses too.
func (f Family) Domain() int {
	if f == IPv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// Unspecified is the address that stands for all of one family.
func (f Family) Unspecified() netip.Addr {
	if f == IPv6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// FamilyOf is the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is6() {
		return IPv6
	}
	return IPv4
}

// Host is the prefix that holds one address alone.
func Host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// Family is the address family of the Service. A dual-stack Service is two of the
// same name, one of each family, since kube-proxy has one proxier for each.
func (s *Service) Family() Family { return FamilyOf(s.ClusterIP) }

// Of is the part of a Snapshot that is of one family. Where the Snapshot came by
// [Snapshot.Normal] and edits, that takes no time.
func (s Snapshot) Of(f Family) Snapshot {
	out := Snapshot{ClusterCIDR: s.ClusterCIDR, Node: s.Node.of(f)}
	if f == IPv6 {
		out.ClusterCIDR = s.ClusterCIDR6
	}
	if s.divided.is(s.Services) {
		part := s.divided.parts[f]
		out.Services, out.edit = part.Services, part.edit
		return out
	}
	if out.Services = ofFamily(s.Services, f); same(out.Services, s.Services) {
		out.edit = s.edit
	}
	return out
}

// ofFamily is those of some Services that are of a family: the same slice if it is all.
func ofFamily(all []*Service, f Family) []*Service {
	i := slices.IndexFunc(all, func(svc *Service) bool { return svc.Family() != f })
	if i < 0 {
		return all
	}
	out := slices.Clone(all[:i])
	for _, svc := range all[i:] {
		if svc.Family() == f {
			out = append(out, svc)
		}
	}
	return out
}

// divided is the Services of a Snapshot by family. Proxiers serve one family each; on a node
// they are told of their own Services alone, and need not look through all of them when one
// changes. So Services are divided where a Snapshot comes in, and an edit, which nobody
// times, makes the parts of the next one. It is never changed.
type divided struct {
	whole []*Service
	parts map[Family]Snapshot // Services, and how they were made
}

// is tells whether d is of a list of Services.
func (d *divided) is(of []*Service) bool { return d != nil && same(d.whole, of) }

// divide divides Services.
func divide(all []*Service) *divided {
	d := &divided{all, map[Family]Snapshot{}}
	for _, f := range Dual.Parts() {
		d.parts[f] = Snapshot{Services: ofFamily(all, f)}
	}
	return d
}

// after is the parts once an edit was made, nil if they are not known.
func (d *divided) after(e edit) *divided {
	if !d.is(e.from) {
		return nil
	}
	out := &divided{e.to, map[Family]Snapshot{}}
	for f, part := range d.parts {
		// A Service that changes its family goes from one part and comes to the other.
		goes := e.change.Old != nil && e.change.Old.Family() == f
		comes := e.change.New != nil && e.change.New.Family() == f
		switch {
		case same(part.Services, e.from) && (comes || e.change.New == nil):
			part = Snapshot{Services: e.to, edit: e} // it is the whole still
		case comes:
			part = part.With(e.change.New)
		case goes:
			i, found := slices.BinarySearchFunc(part.Services, e.change.Old, (*Service).Compare)
			if !found {
				return nil // somebody's Services are not in order
			}
			part = part.Without(i)
		}
		out.parts[f] = part
	}
	return out
}
