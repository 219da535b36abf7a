package nftables

import (
	"net/netip"

	"viplab/modes"
)

// part is what one Service puts into the Table.
type part struct {
	chains   []*Chain
	sets     []*Set
	elements []Element
	// shared are elements that other Services may want too, and balancers are the
	// chains that all Services of one number of endpoints go through.
	shared    []Element
	balancers []balancer
}

// writer makes the parts of Services, of which there may be many thousands: the bytes
// of all keys and values of one are one string, which the elements have pieces of.
type writer struct {
	Options
	scope scope
	part
	buf []byte
	// spans are where the keys and values of the elements, and the keys of the shared
	// ones, are in buf.
	spans       [][2]span
	sharedSpans []span
}

// span is a piece of the writer's bytes.
type span struct{ from, to int }

func (s span) of(text string) string { return text[s.from:s.to] }

// partOf is a Service's part. What it holds is good until the next call, unless keep is
// set.
func (w *writer) partOf(svc *modes.Service, keep bool) part {
	if keep {
		n := len(svc.Ports) * len(svc.Endpoints)
		w.part = part{elements: make([]Element, 0, n+len(svc.Ports)), shared: make([]Element, 0, n+1)}
	} else {
		w.part = part{elements: w.elements[:0], shared: w.shared[:0], balancers: w.balancers[:0]}
	}
	w.buf, w.spans, w.sharedSpans = w.buf[:0], w.spans[:0], w.sharedSpans[:0]
	w.buf = appendAddr(w.buf, svc.ClusterIP)
	w.share(clusterIPs, 0)
	for _, p := range svc.Ports {
		w.port(&port{writer: w, svc: svc, ServicePort: p, Reach: svc.Reach(p)})
	}
	text := string(w.buf)
	for i, s := range w.spans {
		w.elements[i].Key, w.elements[i].Data = s[0].of(text), s[1].of(text)
	}
	for i, s := range w.sharedSpans {
		w.shared[i].Key = s.of(text)
	}
	return w.part
}

// share adds an element that others may want too, whose key is what was written since a
// place.
func (w *writer) share(in string, from int) {
	w.shared = append(w.shared, Element{In: in})
	w.sharedSpans = append(w.sharedSpans, span{from, len(w.buf)})
}

// add adds an element whose value is what write appends.
func (w *writer) add(in string, key span, write func([]byte) []byte) {
	from := len(w.buf)
	w.buf = write(w.buf)
	w.elements = append(w.elements, Element{In: in})
	w.spans = append(w.spans, [2]span{key, {from, len(w.buf)}})
}

// element adds an element that holds an endpoint.
func (w *writer) element(in string, key span, to netip.AddrPort) {
	w.add(in, key, func(b []byte) []byte { return appendTarget(b, to) })
}

// verdict adds an element that holds a verdict.
func (w *writer) verdict(in string, key span, v Verdict) {
	w.add(in, key, func(b []byte) []byte { return appendVerdict(b, v) })
}

// port is one port of a Service that is being written.
type port struct {
	*writer
	modes.ServicePort
	modes.Reach
	svc  *modes.Service
	name string
	// wantsCluster and wantsLocal tell whether the chains of either policy are wanted.
	wantsCluster, wantsLocal bool
}

// port writes one port: the way in by each of its addresses, then the chains that
// they lead to.
func (w *writer) port(p *port) {
	p.inside()
	if p.svc.ExternalAt(p.ServicePort) {
		p.outside()
	}
	p.chainsOfEndpoints()
	for _, ep := range p.All {
		from := len(w.buf)
		b := appendAddr(appendAddr(w.buf, ep.Addr), ep.Addr)
		w.buf = appendPort(appendProto(b, p.Protocol), p.target(ep).Port())
		w.share(hairpins, from)
	}
}

// target is where an endpoint listens.
func (p *port) target(ep modes.Endpoint) netip.AddrPort { return ep.At(p.ServicePort) }

// refuse is what becomes of traffic that no endpoint may get.
func (p *port) refuse() Verdict {
	if p.Any {
		return Verdict{Kind: Drop}
	}
	return goTo(rejectChain)
}

// inside writes the way in by the ClusterIP.
func (p *port) inside() {
	to := p.Cluster
	if p.svc.InternalLocal {
		to = p.Local
	}
	if len(to) == 0 {
		p.verdict(noEndpointServices, p.key(p.svc.ClusterIP), p.refuse())
		return
	}
	if p.spread(p.svc.ClusterIP, to, false) {
		return
	}
	p.verdict(serviceIPs, p.key(p.svc.ClusterIP), goTo(p.policyChain(p.svc.InternalLocal)))
}

// outside writes the ways in by ExternalIPs, LoadBalancer IPs and the node port.
// Under policy Local they are there as long as the Service has any endpoint, since
// clients of the cluster itself are served by all of them.
func (p *port) outside() {
	unserved := !p.Any || p.svc.ExternalLocal && len(p.Local) == 0
	for _, a := range p.addresses() {
		key := p.key(a)
		if p.Any && !p.spreadOutside(a) {
			p.verdict(serviceIPs, key, goTo(p.externalChain()))
		}
		if unserved {
			p.verdict(noEndpointServices, key, p.refuse())
		}
	}
	if p.NodePort != 0 {
		key := p.nodeKey()
		if p.Any && !p.spreadOutside(netip.Addr{}) {
			p.verdict(serviceNodePorts, key, goTo(p.externalChain()))
		}
		if unserved {
			p.verdict(noEndpointNodePorts, key, p.refuse())
		}
	}
	if p.filtered() {
		for _, a := range p.svc.LoadBalancerIPs {
			p.verdict(firewallIPs, p.key(a), goTo(p.chainName("firewall-")))
		}
		p.firewall()
	}
	if p.usesExternalChain() {
		p.external()
	}
}

// addresses are those by which the Service is reached from outside.
func (p *port) addresses() []netip.Addr {
	return append(p.svc.ExternalIPs[:len(p.svc.ExternalIPs):len(p.svc.ExternalIPs)], p.svc.LoadBalancerIPs...)
}

// filtered tells whether only some sources may use the LoadBalancer IPs.
func (p *port) filtered() bool { return len(p.svc.SourceRanges) > 0 && len(p.svc.LoadBalancerIPs) > 0 }

// key is the key of an address of the Service in maps by Service.
func (p *port) key(a netip.Addr) span {
	from := len(p.buf)
	p.buf = appendPort(appendProto(appendAddr(p.buf, a), p.Protocol), p.Port)
	return span{from, len(p.buf)}
}

// nodeKey is the key of the node port.
func (p *port) nodeKey() span {
	from := len(p.buf)
	p.buf = appendPort(appendProto(p.buf, p.Protocol), p.NodePort)
	return span{from, len(p.buf)}
}

// chainName is the name of one of the port's chains.
func (p *port) chainName(prefix string) string {
	if p.name == "" {
		p.name = portName(p.svc, p.ServicePort)
	}
	return prefix + p.name
}

// policyChain is the name of the chain with all endpoints, or with those on the node,
// which is then wanted.
func (p *port) policyChain(local bool) string {
	if local {
		p.wantsLocal = true
		return p.chainName("local-")
	}
	p.wantsCluster = true
	return p.chainName("service-")
}

func (p *port) externalChain() string { return p.chainName("external-") }
