package simulate

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"

	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/iptablestree"
	"viplab/modes/packet"
	"viplab/modes/rules"
	"viplab/modes/synth"
)

// State counts what a mode has programmed for a whole Snapshot.
type State struct {
	Services int `json:"services"`
	Rules    int `json:"rules"`
	Chains   int `json:"chains"`
	Blob     int `json:"blob_bytes"` // of the kernel's tables
	Text     int `json:"text_bytes"` // for iptables-restore
	Entries  int `json:"set_entries"`
	Servers  int `json:"virtual_servers"`
	Reals    int `json:"real_servers"`
	VIPs     int `json:"bound_vips"`
	Portals  int `json:"proxy_ports"`
}

// node is the address that Programs are planned for; no count depends on it.
var node = netip.AddrFrom4([4]byte{192, 0, 2, 1})

// sampled is up to which number of Services a State is counted whole; beyond it
// what one more Service adds is counted on a sample and multiplied.
const sampled = 600

// StateOf counts what a mode programs for a Spec.
func StateOf(mode string, spec synth.Spec, fanout int) (State, error) {
	m, err := catalog.Find(mode)
	if err != nil {
		return State{}, err
	}
	opts := catalog.Options{Fanout: fanout}
	count := func(n int) State {
		part := spec
		part.Services = n
		return countProgram(m.Program(opts, part.Snapshot(), node), n)
	}
	if spec.Services <= sampled {
		return count(spec.Services), nil
	}
	a, b := count(sampled), count(sampled+100)
	out := a.plus(b, float64(spec.Services-sampled)/100)
	if mode != "iptables-tree" {
		return out, nil
	}
	// The tree is no sum over Services: its inner chains are counted exactly.
	linear, err := StateOf("iptables", spec, fanout)
	if err != nil {
		return State{}, err
	}
	chains, inTree := iptablestree.NewShape(fanout, leaves(spec)).Count()
	jump := rules.Rule{Dst: synth.VIPRange, Chain: "KUBE-TREE-10.96.0.0-12"}
	n := inTree - (spec.Services*spec.Ports + len(spec.UDPPositions()))
	out = linear
	out.Chains += chains
	out.Rules += n
	out.Blob += n*jump.Blob() + chains*rules.Ruleset{Tables: []rules.Table{{Chains: []*rules.Chain{{Name: "T"}}}}}.Blob()
	out.Text += n*(len("-A  \n")+2*len(jump.Chain)+len(rules.AppendRule(nil, &jump))-len(jump.Chain)) + chains*len(": - [0:0]\n"+jump.Chain)
	return out, nil
}

// leaves lists the address of each Service port.
func leaves(spec synth.Spec) []uint32 {
	udp := spec.UDPPositions()
	out := make([]uint32, 0, spec.Services*spec.Ports+len(udp))
	for i := range spec.Services {
		vip := iptablestree.Key(spec.VIP(i))
		for range spec.Ports {
			out = append(out, vip)
		}
		if len(udp) > 0 && udp[0] == i {
			out, udp = append(out, vip), udp[1:]
		}
	}
	return out
}

// plus adds, share times, what b has more than a.
func (a State) plus(b State, share float64) State {
	grow := func(x, y int) int { return x + int(share*float64(y-x)) }
	return State{
		Services: grow(a.Services, b.Services), Rules: grow(a.Rules, b.Rules), Chains: grow(a.Chains, b.Chains),
		Blob: grow(a.Blob, b.Blob), Text: grow(a.Text, b.Text), Entries: grow(a.Entries, b.Entries),
		Servers: grow(a.Servers, b.Servers), Reals: grow(a.Reals, b.Reals), VIPs: grow(a.VIPs, b.VIPs), Portals: grow(a.Portals, b.Portals),
	}
}

func countProgram(p packet.Program, services int) State {
	n := p.Size()
	s := State{Services: services, Rules: n.Rules, Chains: n.Chains, Entries: n.Entries, Servers: n.Servers, Portals: n.Portals,
		VIPs: len(p.Bound), Blob: p.Rules.Blob()}
	for _, r := range p.Servers {
		s.Reals += len(r)
	}
	var text counter
	// Writing to a counter cannot fail.
	_, _ = rules.Edit(bufio.NewWriter(&text), rules.Ruleset{}, p.Rules)
	s.Text = int(text)
	return s
}

type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

var _ io.Writer = (*counter)(nil)

// Walker counts the operations on the way of first packets to Services of a Spec.
type Walker struct {
	mode   catalog.Mode
	opts   catalog.Options
	spec   synth.Spec
	shape  iptablestree.Shape
	bucket map[int]int // by position: virtual servers before it in its bucket
}

// Way is the operations on a first packet's way.
type Way struct {
	rules.Operations
	// Bucket is how many virtual servers are looked at before the right one: ip_vs
	// hashes them into 256 buckets (IP_VS_SVC_TAB_BITS), the newest first.
	Bucket int `json:"bucket"`
	// Behind is how many of the rules the proxy's own connection is held
	// against: the client's packet has been answered by then.
	Behind int `json:"behind"`
}

// NewWalker prepares to walk to Services at the given positions.
func NewWalker(mode string, spec synth.Spec, fanout int, positions []int) (*Walker, error) {
	m, err := catalog.Find(mode)
	if err != nil {
		return nil, err
	}
	w := &Walker{mode: m, opts: catalog.Options{Fanout: fanout}, spec: spec}
	switch mode {
	case "iptables-tree":
		w.shape = iptablestree.NewShape(fanout, leaves(spec))
	case "ipvs":
		w.bucket = buckets(spec, positions)
	}
	return w, nil
}

// buckets counts, for TCP servers of the first port, those that were added later
// to the same bucket (ip_vs_svc_hashkey in net/netfilter/ipvs/ip_vs_ctl.c; the
// namespace's pointer, which it also mixes in, only renames the buckets).
func buckets(spec synth.Spec, positions []int) map[int]int {
	const tcp, udp = 6, 17
	hash := func(vip uint32, port uint16, proto uint32) uint32 {
		return (proto ^ vip ^ uint32(port>>8) ^ uint32(port)) & 255
	}
	wanted := map[int]bool{}
	for _, p := range positions {
		wanted[p] = true
	}
	udpAt := map[int]bool{}
	for _, p := range spec.UDPPositions() {
		udpAt[p] = true
	}
	var filled [256]int
	out := map[int]int{}
	for i := spec.Services - 1; i >= 0; i-- {
		vip := iptablestree.Key(spec.VIP(i))
		if udpAt[i] {
			filled[hash(vip, synth.FirstPort, udp)]++
		}
		for p := spec.Ports - 1; p >= 0; p-- {
			h := hash(vip, synth.FirstPort+uint16(p), tcp)
			if p == 0 && wanted[i] {
				out[i] = filled[h]
			}
			filled[h]++
		}
	}
	return out
}

// First counts the operations on the way of a TCP flow's first packet from a
// client to the first port of the Service at a position. The Service is planned
// alone and its packet traced; what the other Services add is their dispatch,
// counted by the mode's structure.
func (w *Walker) First(position int) (Way, error) {
	svc := w.spec.Service(position)
	if len(svc.Ports) == 0 {
		return Way{}, fmt.Errorf("service %s has no port", svc.Key())
	}
	alone := modes.Snapshot{Services: []*modes.Service{svc}, ClusterCIDR: synth.EndpointRange}
	f := packet.Flow{From: packet.Client, Proto: modes.TCP, Pick: position % len(svc.Endpoints),
		Src: netip.AddrPortFrom(synth.EndpointRange.Addr(), 40000), Dst: netip.AddrPortFrom(svc.ClusterIP, svc.Ports[0].Port)}
	out := Way{Operations: packet.Follow(w.mode.Program(w.opts, alone, node), node, f).Operations}
	switch w.mode.Name {
	case "iptables":
		out.Rules += w.before(position)
	case "userspace":
		// Before it by those of the Services before, behind it by all, of which
		// its own were counted already.
		all := w.before(w.spec.Services)
		out.Rules += w.before(position) + all - len(svc.Ports)
		out.Behind = all + 1
	case "iptables-tree":
		looked, jumps := w.shape.Walk(iptablestree.Key(svc.ClusterIP))
		out.Rules += looked - 1
		out.Jumps += jumps
	case "ipvs":
		out.Bucket = w.bucket[position]
	}
	return out, nil
}

// before is how many Service ports stand before a position.
func (w *Walker) before(position int) int {
	n := position * w.spec.Ports
	for _, u := range w.spec.UDPPositions() {
		if u < position {
			n++
		}
	}
	return n
}
