package modes

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Mode is a Service data plane as a value: what it is called, what can be chosen
// about it, what it cannot do, and how to make one. All that the rest of the program
// knows of a mode it reads here; a mode is added by one package and one line of
// the catalog.
type Mode struct {
	// Name is how users name it; a slash parts a family of modes from its member.
	Name string
	// Summary is one line for people.
	Summary string
	// DataPath says how a first packet finds its endpoint, and how the cost grows
	// with the number of Services N.
	DataPath string
	// Baseline is set for the mode without Services: probes go to the endpoints
	// themselves, and the other modes are measured against it.
	Baseline bool
	// PeerOf is the mode of the lab's that this one is held beside, being the real program:
	// empty for none. A peer runs only where it is named.
	PeerOf string
	// Like is the mode of the lab's whose exceptions in packet stories hold in this one too,
	// empty for none.
	Like string
	// Fallback is the mode that kube-proxy took where this one could not run, empty
	// for none.
	Fallback string
	// Params are what can be chosen, in the order of help texts.
	Params []Param
	// Needs names what the kernel must have.
	Needs []string
	// Limits are the abilities that the mode lacks, with the reason.
	Limits Limits
	// Refuses says, as an [UnsupportedError], what a Service asks for that some arguments
	// cannot serve, beside Limits. May be nil.
	Refuses func(Args, *Service) error
	// Caveats are what a reader of its figures must know, in the order of reports.
	Caveats []Caveat
	// Check says what is wrong with arguments together, or with a family of Services
	// that they do not serve. May be nil; each argument alone is its Param's.
	Check func(Args, Family) error
	// Traits says what arguments mean for the lab. May be nil, for the zero Traits.
	Traits func(Args) Traits
	// New makes a Proxier of one address family. It touches nothing yet.
	New func(Args, Machine) Proxier
	// Program is what the mode would put into a node of the given address, as values.
	// May be nil: then no packet can be followed through the mode without a kernel.
	Program func(Args, Snapshot, netip.Addr) Program
	// Model says what the mode's costs are made of. May be nil: then nothing can be
	// predicted without a kernel.
	Model *Model
}

// Machine is what a Proxier is given of the machine that it runs on.
type Machine struct {
	// Family is that of the Services that the Proxier serves: IPv4 or IPv6.
	Family Family
	// ProxyCommand starts this program as the userspace proxy.
	ProxyCommand []string
}

// Traits are what the lab must know of a mode with some arguments, to build the right
// topology for it and to ask of it what it can answer.
type Traits struct {
	// DirectServerReturn: packets reach real servers as clients sent them, so real
	// servers hold the VIPs, listen on the Service's own port and answer clients past
	// the node.
	DirectServerReturn bool
	// Tunnel: packets reach real servers inside others (IP in IP).
	Tunnel bool
	// NodeUnserved: connections that start on the node itself are not answered.
	NodeUnserved bool
	// OnlyNode: connections that start elsewhere are not served.
	OnlyNode bool
	// RealRoot: programming needs rights over the machine, not only over the user
	// namespace that the lab makes.
	RealRoot bool
	// SameState: the kernel ends up as with the default arguments, and only the way
	// in which it is written differs. Then only updates are worth measuring.
	SameState bool
	// Choice is how endpoints are chosen for one client's connections.
	Choice Choice
	// ServiceTakes is about what a full sync, with a few changes after it, takes for each
	// Service, where that is so long that forecasts of a run must know it.
	ServiceTakes time.Duration
}

// Choice is how endpoints are chosen for the connections of one client.
type Choice string

// Choices. The zero value is EvenChoice.
const (
	EvenChoice     Choice = ""         // each endpoint is as likely as the others
	WeightedChoice Choice = "weighted" // by the endpoints' weights
	OtherChoice    Choice = "other"    // by the client, the VIP, or connections that are open
)

// Even tells whether each endpoint should get the same share of one client's
// connections, with endpoints of different weights or without.
func (c Choice) Even(weighted bool) bool {
	return c == EvenChoice || c == WeightedChoice && !weighted
}

// Param is something that can be chosen about a mode. Command-line flags, keys of the
// configuration file, factors of records and labels of reports follow from it.
type Param struct {
	// Name is that of the flag, lower case with hyphens. Modes may share a parameter:
	// then name, default and meaning are the same in all of them.
	Name string
	// Help is one line for people.
	Help string
	// Values lists the valid ones.
	Values []string
	// Default is what an absent argument stands for, one of Values.
	Default string
	// With are arguments of parameters before this one without which it means nothing.
	With Args
	// Counted is set where the mode's Model takes the argument into account: then
	// costs that were fitted at one value hold at the others.
	Counted bool
	// Apart is set where the mode's Model takes the argument into account, but things cost
	// differently at each value: then costs are fitted for each by itself.
	Apart bool
}

// check says what is wrong with a value of the parameter.
func (p Param) check(v string) error {
	if !slices.Contains(p.Values, v) {
		return fmt.Errorf("unknown %s %q: valid are %s", p.Name, v, strings.Join(p.Values, ", "))
	}
	return nil
}

// CheckAll says what is wrong with values of the parameter that are to be compared:
// none, one given twice, one that is not valid.
func (p Param) CheckAll(values []string) error {
	if len(values) == 0 {
		return fmt.Errorf("%s: none given: valid are %s", p.Name, strings.Join(p.Values, ", "))
	}
	for i, v := range values {
		if err := p.check(v); err != nil {
			return err
		}
		if slices.Contains(values[:i], v) {
			return fmt.Errorf("%s %s is given twice", p.Name, v)
		}
	}
	return nil
}

// Args are a mode's arguments, by the names of its parameters. One that is absent has
// its default, so that a run that does not name a parameter, and one that names its
// default, are the same.
type Args map[string]string

// String lists the arguments in order: "forward=dr scheduler=wrr".
func (a Args) String() string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(a)) {
		out = append(out, k+"="+a[k])
	}
	return strings.Join(out, " ")
}

// Param is the mode's parameter of that name.
func (m Mode) Param(name string) (Param, bool) {
	i := slices.IndexFunc(m.Params, func(p Param) bool { return p.Name == name })
	if i < 0 {
		return Param{}, false
	}
	return m.Params[i], true
}

// Arg is the value of a parameter: the argument's, or the default.
func (m Mode) Arg(a Args, name string) string {
	if v, ok := a[name]; ok {
		return v
	}
	p, _ := m.Param(name)
	return p.Default
}

// Normal is the arguments without those that say the default, or an error for a
// parameter that the mode does not have or a value that is not valid.
func (m Mode) Normal(a Args) (Args, error) {
	out := Args{}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		p, ok := m.Param(name)
		if !ok {
			return nil, fmt.Errorf("mode %s has no parameter %s", m.Name, name)
		}
		if err := p.check(a[name]); err != nil {
			return nil, fmt.Errorf("mode %s: %w", m.Name, err)
		}
		if a[name] != p.Default {
			out[name] = a[name]
		}
	}
	return out, nil
}

// Uses tells whether a parameter means something beside some arguments.
func (m Mode) Uses(p Param, a Args) bool {
	for name, v := range p.With {
		if m.Arg(a, name) != v {
			return false
		}
	}
	return true
}

// Product lists the arguments that values to be compared make: all combinations of
// those that the mode has parameters for, in order; one alone where a parameter means
// nothing. Values must be valid.
func (m Mode) Product(values map[string][]string) []Args {
	out := []Args{{}}
	for _, p := range m.Params {
		list, ok := values[p.Name]
		if !ok {
			continue
		}
		var next []Args
		for _, a := range out {
			if !m.Uses(p, a) {
				next = append(next, a)
				continue
			}
			for _, v := range list {
				one := maps.Clone(a)
				if v != p.Default {
					one[p.Name] = v
				}
				next = append(next, one)
			}
		}
		out = next
	}
	return out
}

// InStories is the name by which packet stories have this mode's exceptions.
func (m Mode) InStories() string { return cmp.Or(m.Like, m.PeerOf, m.Name) }

// TraitsOf is what arguments mean for the lab.
func (m Mode) TraitsOf(a Args) Traits {
	if m.Traits == nil {
		return Traits{}
	}
	return m.Traits(a)
}

// CheckServices says whether the mode with some arguments can serve Services: nil, or an
// [UnsupportedError].
func (m Mode) CheckServices(a Args, services ...*Service) error {
	if err := m.Limits.Check(m.Name, services...); err != nil || m.Refuses == nil {
		return err
	}
	for _, svc := range services {
		if err := m.Refuses(a, svc); err != nil {
			return err
		}
	}
	return nil
}

// CheckArgs says what is wrong with arguments for Services of a family.
func (m Mode) CheckArgs(a Args, f Family) error {
	normal, err := m.Normal(a)
	if err != nil {
		return err
	}
	for _, p := range m.Params {
		if v, ok := normal[p.Name]; ok && !m.Uses(p, a) {
			return fmt.Errorf("%s %s is of no use without %s", p.Name, v, strings.ReplaceAll(p.With.String(), "=", " "))
		}
	}
	if m.Check == nil {
		return nil
	}
	return m.Check(a, f)
}

// CheckFamily says whether the mode can serve Services of a family: nil, or an
// [UnsupportedError].
func (m Mode) CheckFamily(f Family) error {
	if why, lacks := m.Limits[ServesIPv6]; lacks && f.Has(IPv6) && !m.Baseline {
		return &UnsupportedError{m.Name, "family " + string(f), ServesIPv6, why}
	}
	return nil
}

// Make makes the mode's Proxier for Services of a family: one, or one for each.
func (m Mode) Make(a Args, h Machine) Proxier {
	// A Snapshot of IPv4 alone needs not be divided, which would take time.
	if !h.Family.Has(IPv6) {
		h.Family = IPv4
		return m.New(a, h)
	}
	return perFamily(h.Family, func(f Family) Proxier {
		h.Family = f
		return m.New(a, h)
	})
}

// Plan is what the mode would put into a node of the given address: the part of the
// address's family. The error is a [NoPlanError] where no packet can be followed through it.
func (m Mode) Plan(a Args, s Snapshot, node netip.Addr) (Program, error) {
	if m.Program == nil {
		return nil, &NoPlanError{Mode: m.Name, PeerOf: m.PeerOf, What: "followed"}
	}
	if m.TraitsOf(a).DirectServerReturn {
		return nil, &NoPlanError{Mode: m.Name, What: "followed", Why: "with " + a.String() + " packets go on as clients sent them, to real servers that hold the VIPs"}
	}
	return m.Program(a, s.Of(FamilyOf(node)), node), nil
}
