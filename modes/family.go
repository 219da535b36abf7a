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

// Of is the part of a Snapshot that is of one family.
func (s Snapshot) Of(f Family) Snapshot {
	out := Snapshot{ClusterCIDR: s.ClusterCIDR, Node: s.Node.of(f)}
	if f == IPv6 {
		out.ClusterCIDR = s.ClusterCIDR6
	}
	other := func(svc *Service) bool { return svc.Family() != f }
	if out.Services = s.Services; slices.ContainsFunc(s.Services, other) {
		out.Services = slices.DeleteFunc(slices.Clone(s.Services), other)
	}
	return out
}
