package modetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"viplab/lab/tell"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/packet/story"
	"viplab/modes/snapshot/synth"
)

// How many Snapshots the tangle has, and how many packets that nobody answers are waited for
// in all. (More of them, once, found what is mended.)
const tangledSteps, tangledWaits = 8, 2

// tangled: Services that share and exchange all that they can, from one random Snapshot to
// the next. At each a few packets must go where the tracer says, which knows nothing of what
// was there before, and datagrams that a client has been sending all along must not go
// where nobody serves any more.
func tangled(t *testing.T, m modes.Mode, o Options) {
	if m.Program == nil {
		t.Skip("the mode has no tracer to be held against")
	}
	b := NewRig(t, m, nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1})
	if err := errors.Join(b.Net.LiftICMPLimit(), b.Net.LetPodsDial()); err != nil {
		t.Fatal(err)
	}
	at, rng := topo.Of(modes.IPv4), rand.New(rand.NewPCG(6, 5))
	maker := synth.Tangle{Rand: rng, Node: []netip.Addr{at.ToClient.Addr(), at.Node.Addr()}, Protocols: []modes.Protocol{modes.TCP, modes.UDP}, Lacks: m.Limits}
	w := tangle{Rig: b, mode: m, teller: tell.New(b.Stage), rng: rng, waits: tangledWaits, conns: map[netip.AddrPort]net.Conn{}}
	steps := tangledSteps
	if testing.Short() {
		steps /= 2
	}
	for step := range steps {
		s := maker.Snapshot()
		b.Program(s)
		w.play(s)
		if t.Failed() {
			t.Fatalf("step %d: the node is %+v, and the Services\n%s", step, s.Node, describe(s))
		}
		// Mode ipvs keeps sets and rules for external addresses once there was one.
		if o.HistoryShows || step%4 != 3 || !slices.ContainsFunc(s.Services, (*modes.Service).External) {
			continue
		}
		if got, want := sortedLines(b.State()), b.anew(s); got != want {
			t.Fatalf("step %d: the kernel held and a fresh sync gives otherwise\n%s", step, differing(got, want))
		}
	}
}

// differing lists the lines that only one of two States has.
func differing(got, want string) string {
	var out strings.Builder
	for sign, of := range map[string][2]string{"-": {got, want}, "+": {want, got}} {
		other := strings.Split(of[1], "\n")
		for line := range strings.Lines(of[0]) {
			if !slices.Contains(other, strings.TrimRight(line, "\n")) {
				out.WriteString(sign + line)
			}
		}
	}
	return out.String()
}

// describe lists Services for people.
func describe(s modes.Snapshot) string {
	var out strings.Builder
	for _, svc := range s.Services {
		fmt.Fprintf(&out, "%+v\n", *svc)
	}
	return out.String()
}

// tangle is a tangle that is played.
type tangle struct {
	*Rig
	mode   modes.Mode
	teller *tell.Teller
	rng    *rand.Rand
	waits  int                         // that are left
	conns  map[netip.AddrPort]net.Conn // of a client that goes on sending datagrams
}

// play sends packets to what Services there are, and datagrams to what there was.
func (w *tangle) play(s modes.Snapshot) {
	w.t.Helper()
	program, err := w.mode.Plan(nil, s, topo.Of(modes.IPv4).Node.Addr())
	if err != nil {
		w.t.Fatal(err)
	}
	stop, err := w.teller.Serve(s)
	if err != nil {
		w.t.Fatal(err)
	}
	defer stop()
	fronts := frontsOf(s)
	w.rng.Shuffle(len(fronts), func(i, j int) { fronts[i], fronts[j] = fronts[j], fronts[i] })
	for i, f := range fronts[:min(8, len(fronts))] {
		flow := modes.Flow{From: []modes.From{modes.FromClient, modes.FromNode}[i%2], Proto: f.Proto, Dst: f.Addr}
		fate := fateOf(program, flow)
		if w.patient(fate) {
			if wrong := w.teller.Tell(story.Story{Flow: flow, Fate: fate}, fate, map[string]netip.Addr{}); wrong != "" {
				w.t.Errorf("%s, which the tracer leads to %+v: %s", flow, fate, wrong)
			}
		}
	}
	for _, f := range fronts {
		if f.Proto == modes.UDP {
			w.goOn(f.Addr, s, fateOf(program, modes.Flow{From: modes.FromClient, Proto: f.Proto, Dst: f.Addr}))
		}
	}
}

// patient tells whether a packet of a fate is to be sent: few are that nobody answers.
func (w *tangle) patient(f story.Fate) bool {
	if f.Kind != story.Dropped && f.Kind != story.Unserved {
		return true
	}
	w.waits--
	return w.waits >= 0
}

// frontsOf is all that clients may dial.
func frontsOf(s modes.Snapshot) (out []modes.Front) {
	for _, svc := range s.Services {
		for _, p := range svc.Ports {
			for _, a := range slices.Concat([]netip.Addr{svc.ClusterIP}, svc.ExternalIPs, svc.LoadBalancerIPs) {
				out = append(out, modes.Front{Proto: p.Protocol, Addr: netip.AddrPortFrom(a, p.Port)})
			}
			for _, a := range s.Node.Addrs {
				if p.NodePort != 0 {
					out = append(out, modes.Front{Proto: p.Protocol, Addr: netip.AddrPortFrom(a, p.NodePort)})
				}
			}
		}
	}
	return out
}

// fateOf is what the tracer says of a flow, whatever endpoint is chosen.
func fateOf(p modes.Program, f modes.Flow) story.Fate {
	at := topo.Of(modes.FamilyOf(f.Dst.Addr()))
	f = f.At(at.Client.Addr())
	var out story.Fate
	for f.Pick = range 8 {
		w := p.Follow(at.Node.Addr(), f)
		switch w.Fate {
		case modes.ToEndpoint:
			out.Kind, out.Source = story.Endpoint, story.Node
			switch {
			case f.From == modes.FromClient && w.Seen == f.Src.Addr():
				out.Source = story.Kept
			case w.Seen == f.Dst.Addr() && !slices.Contains(topo.NodeAddrs(), w.Seen):
				out.Source = story.Dialled
			}
			out.Endpoints = append(out.Endpoints, w.To.Addr())
		case modes.Lost:
			out.Kind = story.Dropped
		case modes.Refused:
			out.Kind = story.Refused
		case modes.Closed:
			out.Kind = story.Closed
		default:
			out.Kind = story.Unserved
		}
	}
	return out
}

// goOn sends one more datagram from the socket that has sent to a destination before, and
// expects an answer, from an endpoint that may serve, where there is one.
func (w *tangle) goOn(to netip.AddrPort, s modes.Snapshot, fate story.Fate) {
	w.t.Helper()
	if w.conns[to] == nil {
		w.conns[to] = w.dialEarly(to).conns[0]
	}
	if fate.Kind != story.Endpoint {
		_, _ = w.conns[to].Write([]byte{'c'})
		return
	}
	from, err := askDatagram(w.conns[to])
	for range 3 { // the answers to packets before
		if !errors.Is(err, unix.ECONNREFUSED) {
			break
		}
		from, err = askDatagram(w.conns[to])
	}
	if err != nil || !mayServe(s, from) {
		w.t.Errorf("a client that goes on sending to %s is answered by %s, %v; want one of %s", to, from, err, fate.Endpoints)
	}
}

// mayServe tells whether an address is an endpoint that is given traffic. Where policies
// change, flows go on by the ones before, as in kube-proxy.
func mayServe(s modes.Snapshot, a netip.Addr) bool {
	return slices.ContainsFunc(s.Services, func(svc *modes.Service) bool {
		return slices.ContainsFunc(svc.Endpoints, func(ep modes.Endpoint) bool { return ep.Addr == a && ep.Condition != modes.Unready })
	})
}
