package trial

import (
	"maps"
	"net/netip"
	"slices"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/snapshot/given"
	"viplab/modes/snapshot/kube"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

// Input says that a trial's Services are a user's own.
type Input struct {
	// Name is how records name what they came from.
	Name string `json:"name"`
	// Times is how often each of them is there.
	Times int `json:"times"`
	// Extra is how many endpoints a further Service has, which a scenario changes; 0
	// for none.
	Extra int `json:"extra,omitempty"`
	// Weights are those of its endpoints, in turn; none for 1 each.
	Weights []int `json:"weights,omitempty"`
}

// Networks are what the lab's network has for Services, one of each family.
func Networks() (out []kube.Network) {
	for _, f := range modes.Dual.Parts() {
		at := topo.Of(f)
		out = append(out, kube.Network{VIPs: at.VIPs, Endpoints: at.Endpoints,
			Taken: []netip.Prefix{at.Client.Masked(), at.Node.Masked()}})
	}
	return out
}

// Set is the Services of a user's Snapshot as a trial takes them, dialled over IPv4 where
// there is any.
func (in Input) Set(s modes.Snapshot, f modes.Family) (*given.Set, error) {
	s, err := kube.Times(s, in.Times, Networks()...)
	if err != nil {
		return nil, err
	}
	at := topo.Of(f.Parts()[0])
	set, err := given.New(s, given.Ranges{VIPs: at.VIPs, Endpoints: at.Endpoints})
	if err != nil || in.Extra == 0 {
		return set, err
	}
	return set.WithFurther(in.Extra, in.Weights)
}

// listens is what the servers behind the endpoints of a trial listen on.
func (st *Stage) listens() workload.Listen {
	if st.Given != nil {
		on := Listens(st.Snapshot, st.Synth.Family)
		on.SCTP = nil // told by stories, not measured
		// Where a change adds a Service, or a scenario has one of its own.
		for _, ports := range []*[]uint16{&on.TCP, &on.UDP} {
			if !slices.Contains(*ports, given.AddedTarget) {
				*ports = append(*ports, given.AddedTarget)
			}
		}
		return on
	}
	var ports []uint16
	for p := range st.Synth.Ports {
		ports = append(ports, st.Synth.TargetPort()+uint16(p))
	}
	return workload.Listen{Family: st.Synth.Family, TCP: ports, UDP: ports[:1]}
}

// Listens is what the endpoints of a Snapshot listen on.
func Listens(s modes.Snapshot, family modes.Family) workload.Listen {
	tcp, udp, sctp := map[uint16]bool{}, map[uint16]bool{}, map[netip.AddrPort]bool{}
	for _, svc := range s.Services {
		for _, p := range svc.Ports {
			for _, ep := range svc.Endpoints {
				at := ep.At(p)
				switch {
				case at.Port() == 0 || ep.Only != "" && ep.Only != p.Name:
				case p.Protocol == modes.TCP:
					tcp[at.Port()] = true
				case p.Protocol == modes.UDP:
					udp[at.Port()] = true
				default:
					sctp[at] = true
				}
			}
		}
	}
	return workload.Listen{Family: family, TCP: slices.Sorted(maps.Keys(tcp)), UDP: slices.Sorted(maps.Keys(udp)),
		SCTP: slices.Collect(maps.Keys(sctp))}
}

// Count is how many Services can be dialled over TCP, a dual-stack one counted once: all
// of those that the lab makes.
func (st *Stage) Count() int {
	if st.Given != nil {
		return len(st.Given.Dialled(modes.TCP))
	}
	return len(st.Snapshot.Services) / st.Synth.Width()
}

// Service is the one at a position of those that can be dialled, of a dual-stack one the
// part of IPv4.
func (st *Stage) Service(i int) *modes.Service {
	if st.Given != nil {
		return st.Snapshot.Services[st.Given.Dialled(modes.TCP)[i]]
	}
	return st.Snapshot.Services[i*st.Synth.Width()]
}

// Changing is the Service that a scenario changes: one made for it where the others are a
// user's, else that in the middle.
func (st *Stage) Changing() *modes.Service {
	if st.Given != nil {
		if i := slices.IndexFunc(st.Snapshot.Services, st.Given.IsFurther); i >= 0 {
			return st.Snapshot.Services[i]
		}
	}
	return st.Service((st.Count() - 1) / 2)
}

// parts is the Service at a position and, if it is dual-stack, that of the other family.
func (st *Stage) parts(i int) []*modes.Service {
	if st.Given == nil {
		return st.Snapshot.Services[i*st.Synth.Width() : (i+1)*st.Synth.Width()]
	}
	out := []*modes.Service{st.Service(i)}
	if next := st.Given.Dialled(modes.TCP)[i] + 1; next < len(st.Snapshot.Services) {
		other := st.Snapshot.Services[next]
		if _, _, ok := given.Answers(other, modes.TCP); ok && other.Key() == out[0].Key() {
			out = append(out, other)
		}
	}
	return out
}

// overUDP lists the Services that can be dialled over UDP, in order.
func (st *Stage) overUDP() (out []*modes.Service) {
	if st.Given != nil {
		for _, i := range st.Given.Dialled(modes.UDP) {
			out = append(out, st.Snapshot.Services[i])
		}
		return out
	}
	for _, i := range st.Synth.UDPPositions() {
		out = append(out, st.Service(i))
	}
	return out
}

// Answers tells whether any Service can be dialled over a protocol.
func (st *Stage) Answers(proto modes.Protocol) bool {
	return st.Given == nil || len(st.Given.Dialled(proto)) > 0
}

// Front is what clients dial for a Service over TCP: the first port that answers, at the
// ClusterIP.
func Front(svc *modes.Service) netip.AddrPort { return FrontOver(svc, modes.TCP) }

// FrontOver is what clients dial for a Service over a protocol.
func FrontOver(svc *modes.Service, proto modes.Protocol) netip.AddrPort {
	p, _, ok := given.Answers(svc, proto)
	if !ok {
		p = svc.Ports[0] // nobody answers
	}
	return netip.AddrPortFrom(svc.ClusterIP, p.Port)
}

// Spare is an address and port that nobody serves.
func (st *Stage) Spare() netip.AddrPort {
	if st.Given != nil {
		return netip.AddrPortFrom(st.Given.Spare(), given.AddedPort)
	}
	return netip.AddrPortFrom(st.Synth.VIP(st.Count()+1000), synth.FirstPort)
}

// SpareEndpoint is an endpoint that no Service has, for a change to add; k counts them.
func (st *Stage) SpareEndpoint(k int) netip.Addr {
	if st.Given != nil {
		return st.Given.SpareEndpoint(k)
	}
	return st.Synth.SpareEndpoint(k)
}

// Apply makes one change of a Snapshot and returns it with the changed Service.
func (st *Stage) Apply(snap modes.Snapshot, kind string) (modes.Snapshot, *modes.Service, error) {
	if st.Given != nil {
		return st.Given.Apply(snap, kind)
	}
	return st.Synth.Apply(snap, kind)
}

// Churn is an endless series of changes, of which each makes the next Snapshot.
func (st *Stage) Churn() func(modes.Snapshot) modes.Snapshot {
	if st.Given != nil {
		return st.Given.Churn(st.Synth.Seed, uint64(st.Round)).Next
	}
	return synth.NewChurn(st.Synth, uint64(st.Round)).Next
}

// fewEndpoints bounds the Services of a user's by which the choice among endpoints is
// judged: each endpoint is to be chosen some fifty times.
const fewEndpoints = 20

// Many is a Service near the middle with several endpoints, any of which may answer any
// client; nil if there is none.
func (st *Stage) Many() *modes.Service {
	n := st.Count()
	if st.Given == nil {
		if svc := st.Service((n - 1) / 2); len(svc.Endpoints) > 1 {
			return svc
		}
		return nil
	}
	for k := range n {
		svc := st.Service(((n-1)/2 + k) % n)
		_, list, _ := given.Answers(svc, modes.TCP)
		if e := len(list); e > 1 && e <= fewEndpoints && e == len(svc.Endpoints) && svc.Affinity == 0 {
			return svc
		}
	}
	return nil
}

// Bulk is the first Service from a position on, that of the first or the last, whose
// endpoints all listen on one port behind what clients dial over TCP, and that port; nil
// if there is none.
func (st *Stage) Bulk(position string) (*modes.Service, uint16) {
	n := st.Count()
	for k := range n {
		i := k
		if position == Last {
			i = n - 1 - k
		}
		svc := st.Service(i)
		p, list, ok := given.Answers(svc, modes.TCP)
		if ok && !slices.ContainsFunc(list, func(ep modes.Endpoint) bool { return ep.At(p).Port() != list[0].At(p).Port() }) {
			return svc, list[0].At(p).Port()
		}
	}
	return nil, 0
}
