package modes

import (
	"net/netip"
	"slices"
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

// Has tells whether a family is, or includes, another.
func (f Family) Has(one Family) bool { return f == one || f == Dual || f == "" && one == IPv4 }

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
	out := Snapshot{ClusterCIDR: s.ClusterCIDR}
	if f == IPv6 {
		out.ClusterCIDR = s.ClusterCIDR6
	}
	other := func(svc *Service) bool { return svc.Family() != f }
	if out.Services = s.Services; slices.ContainsFunc(s.Services, other) {
		out.Services = slices.DeleteFunc(slices.Clone(s.Services), other)
	}
	return out
}
