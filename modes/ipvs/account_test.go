package ipvs

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// fakeKernel holds objects and refuses what the kernel refuses.
type fakeKernel map[key]terms

func (f fakeKernel) do(o Op) error {
	made := o
	switch o.Kind {
	case DelEntry, DelReal, DelServer, DelAddress:
		made.Kind = DelAddress - o.Kind
	case SetServer:
		made.Kind = AddServer
	case SetReal:
		made.Kind = AddReal
	}
	k := made.key()
	_, there := f[k]
	if add := o.Kind <= AddEntry; add == there {
		return fmt.Errorf("%s: there is %t", o.describe(), there)
	}
	if made.Kind == AddReal {
		if _, served := f[k.server()]; !served {
			return fmt.Errorf("%s: no virtual server", o.describe())
		}
	}
	if made.Kind != o.Kind && o.Kind < SetServer {
		delete(f, k)
		maps.DeleteFunc(f, func(other key, _ terms) bool {
			return o.Kind == DelServer && other.kind == AddReal && other.server() == k
		})
		return nil
	}
	f[k] = o.terms
	return nil
}

// run carries a plan out, up to a number of operations, and says whether it ended before.
func (f fakeKernel) run(t *testing.T, plan iter.Seq[Op], limit int) bool {
	t.Helper()
	for o := range plan {
		if limit--; limit < 0 {
			return false
		}
		if err := f.do(o); err != nil {
			t.Fatal(err)
		}
	}
	return true
}

func (f fakeKernel) String() string {
	var lines []string
	for k, v := range f {
		o := k.op()
		o.terms = v
		lines = append(lines, o.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// world makes random Snapshots, and a node whose addresses come and go.
type world struct{ synth.Tangle }

func newWorld(seed, stream uint64) world {
	own := []netip.Addr{netip.MustParseAddr("10.64.0.1")}
	return world{synth.Tangle{Rand: rand.New(rand.NewPCG(seed, stream)), Node: own, Protocols: modes.Protocols()}}
}

// node is one of two or three addresses, of which one is a Service's at times.
func (w world) node() node {
	all := []netip.Addr{netip.MustParseAddr("10.64.0.1"), netip.MustParseAddr("10.255.255.1"), netip.MustParseAddr("10.111.0.2")}
	return nodeOf(modes.NodeConfig{}, all[w.IntN(2):2+w.IntN(2)]...)
}

// TestDeltasEndWhereAPlanEnds: whatever Services share, exchange, gain and lose from one
// Snapshot to the next, and whatever the node's addresses do meanwhile, the kernel refuses
// nothing, and holds what a plan for the last Snapshot alone would have put there.
func TestDeltasEndWhereAPlanEnds(t *testing.T) {
	for seed := range uint64(150) {
		w := newWorld(seed, 1)
		kernel, a := fakeKernel{}, newAccount()
		var now modes.Snapshot
		at := w.node()
		for step := range 20 {
			next, there := w.Snapshot(), at
			if w.IntN(3) == 0 {
				there = w.node()
			}
			if there.clash(next) != nil {
				continue
			}
			changes := modes.Diff(now, next)
			if !there.equal(at) {
				changes = withExternal(changes, next)
			}
			kernel.run(t, a.turn(changes, at.needs, there.needs), 1e6)
			now, at = next, there
			fresh := fakeKernel{}
			fresh.run(t, newAccount().match(now, at.needs), 1e6)
			if got, want := kernel.String(), fresh.String(); got != want {
				t.Fatalf("seed %d, step %d: the kernel holds\n%s\nwant\n%s", seed, step, got, want)
			}
			if len(a.held) != len(kernel) {
				t.Fatalf("seed %d, step %d: the account has %d objects, the kernel %d", seed, step, len(a.held), len(kernel))
			}
		}
		kernel.run(t, a.turn(modes.Diff(now, modes.Snapshot{}), at.needs, at.needs), 1e6)
		if len(kernel)+len(a.held) > 0 {
			t.Fatalf("seed %d: left over: %s", seed, kernel)
		}
	}
}

// TestMatchMends: from whatever a plan that was cut off and somebody else's hand have left,
// the account leads to what the Snapshot needs.
func TestMatchMends(t *testing.T) {
	for seed := range uint64(150) {
		w := newWorld(seed, 2)
		at := w.node()
		kernel := fakeKernel{}
		first, next := w.Snapshot(), w.Snapshot()
		kernel.run(t, newAccount().match(first, at.needs), w.IntN(60))
		for k := range kernel {
			if k.kind == AddReal && w.IntN(5) == 0 {
				kernel[k] = terms{strange: true}
			}
			if k.kind != AddServer && w.IntN(5) == 0 {
				delete(kernel, k)
			}
		}
		a := newAccount()
		for k, v := range kernel {
			a.held[k] = claim{terms: v}
		}
		if at.clash(next) != nil {
			continue
		}
		kernel.run(t, a.match(next, at.needs), 1e6)
		fresh := fakeKernel{}
		fresh.run(t, newAccount().match(next, at.needs), 1e6)
		if got, want := kernel.String(), fresh.String(); got != want {
			t.Fatalf("seed %d: the kernel holds\n%s\nwant\n%s", seed, got, want)
		}
	}
}

// TestKeys: an object's name leads back to it.
func TestKeys(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(seed, 3)
		for o := range newAccount().match(w.Snapshot(), w.node().needs) {
			back := o.key().op()
			back.terms = o.terms
			if o.Kind <= AddEntry && (back != o || back.key() != o.key()) {
				t.Fatalf("%+v became %+v", o, back)
			}
		}
	}
}

// TestRefusalsAreNamed: an error says what was tried, on what, and what the number means.
func TestRefusalsAreNamed(t *testing.T) {
	vip := netip.MustParseAddrPort("10.96.0.1:80")
	for want, e := range map[string]*opError{
		"add entry 10.96.0.1,tcp:80 of ipset KUBE-CLUSTER-IP: the set is full: it may have 16777216 entries": {Op{Kind: AddEntry, Set: ClusterIPSet, Proto: modes.TCP, VIP: vip}, 4352},
		"delete entry 30000 of ipset KUBE-NODE-PORT-TCP: the entry exists, or one that is to be deleted":     {Op{Kind: DelEntry, Set: NodePortTCPSet, VIP: netip.AddrPortFrom(netip.Addr{}, 30000)}, 4103},
		"add virtual server udp 10.96.0.1:80: it exists already (errno 17)":                                  {Op{Kind: AddServer, Proto: modes.UDP, VIP: vip}, 17},
		"delete address 10.96.0.1: the device has no such address":                                           {Op{Kind: DelAddress, VIP: vip}, 99},
		"change real server 10.128.0.1:8080 of virtual server tcp 10.96.0.1:80: it is not there":             {Op{Kind: SetReal, Proto: modes.TCP, VIP: vip, Real: netip.MustParseAddrPort("10.128.0.1:8080")}, 2},
		"add virtual server tcp 10.96.0.1:80: the kernel lacks the virtual server or its scheduler":          {Op{Kind: AddServer, Proto: modes.TCP, VIP: vip}, 2},
	} {
		if got := e.Error(); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestClash: an external address of one Service and a node port of another can be the same
// port of the node's own address, which only the node's addresses tell.
func TestClash(t *testing.T) {
	own := netip.MustParseAddr("10.64.0.1")
	port := func(n, node uint16) []modes.ServicePort {
		return []modes.ServicePort{{Protocol: modes.TCP, Port: n, TargetPort: 8080, NodePort: node}}
	}
	s := modes.Snapshot{Services: []*modes.Service{
		{Namespace: "x", Name: "a", ClusterIP: netip.MustParseAddr("10.96.0.1"), Ports: port(30000, 0), ExternalIPs: []netip.Addr{own}},
		{Namespace: "x", Name: "b", ClusterIP: netip.MustParseAddr("10.96.0.2"), Ports: port(80, 30000)},
	}}
	if err := nodeOf(modes.NodeConfig{}, own).clash(s); err == nil || !strings.Contains(err.Error(), "services x/a and x/b both claim 10.64.0.1:30000/tcp") {
		t.Errorf("got %v", err)
	}
	if err := nodeOf(modes.NodeConfig{}, own.Next()).clash(s); err != nil {
		t.Errorf("got %v", err)
	}
}
