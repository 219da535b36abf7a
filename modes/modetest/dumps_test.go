package modetest

import (
	"cmp"
	"errors"
	"os/exec"
	"slices"
	"testing"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/iptablestree"
	"viplab/modes/ipvs"
	"viplab/modes/nftables"
	"viplab/modes/packet/dump"
	"viplab/modes/packet/story"
	"viplab/modes/snapshot/synth"
)

// iptablesDumps are the tools that show rules of iptables-legacy.
var iptablesDumps = [][]string{{"iptables-legacy-save", "-c"}, {"ip6tables-legacy-save"}}

// TestDumps: what the node's tools show of each story's Services leads packets where the
// mode's own plan leads them, past as many rules, sets and virtual servers.
func TestDumps(t *testing.T) {
	for _, v := range []struct {
		mode  modes.Mode
		args  modes.Args
		tools [][]string
	}{
		{iptables.Mode(), nil, iptablesDumps},
		{iptablestree.Mode(), nil, iptablesDumps},
		{ipvs.Mode(), nil, append([][]string{{"ipset", "save"}, {"ipvsadm", "-Sn"}}, iptablesDumps...)},
		{nftables.Mode(), modes.Args{nftables.LayoutParam: string(nftables.KubeProxy)}, [][]string{{"nft", "-j", "list", "ruleset"}}},
		{nftables.Mode(), modes.Args{nftables.LayoutParam: string(nftables.Direct)}, [][]string{{"nft", "-j", "list", "ruleset"}}},
	} {
		if inGuest := inside.Testbed() == testbed.UMLName; inGuest != slices.Contains(v.mode.Needs, "ip_vs") {
			continue // once is enough
		}
		t.Run(v.mode.Name+v.args.String(), func(t *testing.T) {
			b := NewRig(t, v.mode, v.args, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1, Family: modes.Dual})
			books, err := story.All()
			if err != nil {
				t.Fatal(err)
			}
			kept := map[modes.Family]bool{}
			for _, book := range books {
				book.Snapshot.Node.Addrs = topo.NodeAddrs()
				_, err := b.Sync(t.Context(), book.Snapshot)
				var unsupported *modes.UnsupportedError
				if errors.As(err, &unsupported) {
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", book.Name, err)
				}
				b.compareDump(book, v.mode, v.args, b.tools(v.tools), kept)
			}
		})
	}
}

// external tells whether a book has Services of a family that are reached from outside.
func external(b story.Book, f modes.Family) bool {
	return slices.ContainsFunc(b.Snapshot.Services, func(svc *modes.Service) bool { return svc.External() && svc.Family() == f })
}

// tools reads what tools show of the node.
func (b *Rig) tools(list [][]string) *dump.Dump {
	b.t.Helper()
	d := dump.New()
	err := b.Net.Node.Do(func() error {
		for _, args := range list {
			text, err := exec.Command(args[0], args[1:]...).Output()
			if err != nil {
				return err
			}
			if len(text) == 0 {
				continue // ipset and ipvsadm say nothing of nothing
			}
			if err := d.Add(args[0], text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	d.Finish()
	return d
}

// hosts are the addresses between which stories play in the lab.
func hosts(f modes.Family) story.Hosts {
	return story.Hosts{Client: topo.Of(f).Client.Addr(), Node: topo.Of(f).Node.Addr()}
}

// compareDump tells a book twice with the tracer: in the mode's plan, and in a dump. Mode
// ipvs keeps what external addresses need once there was one, as kept tells from book to
// book, so that its dump has more than the plan then.
func (b *Rig) compareDump(book story.Book, m modes.Mode, args modes.Args, d *dump.Dump, kept map[modes.Family]bool) {
	b.t.Helper()
	planned, err := book.Trace(m, args, hosts)
	if err != nil {
		b.t.Fatal(err)
	}
	dumped := map[modes.Family]modes.Program{}
	for _, f := range modes.Dual.Parts() {
		dumped[f] = d.Program(f, dump.Node{Addrs: topo.NodeAddrs()})
	}
	for i, got := range book.Follow(dumped, m.Name, hosts) {
		want := planned[i]
		if affine := want.In(m.Name).Kind == story.Stays; affine && m.Name == "nftables" {
			continue // its sets tell who had which endpoint, and nobody had any yet
		}
		f := modes.FamilyOf(want.Flow.Dst.Addr())
		kept[f] = kept[f] || external(book, f) && m.Name == "ipvs"
		same := got.Way.Fate == want.Way.Fate && got.Way.To == want.Way.To && got.Way.Seen == want.Way.Seen
		counted := got.Way.Operations == want.Way.Operations || kept[f] && !external(book, f)
		if !same || !counted || got.Wrong != "" {
			b.t.Errorf("%s: %s: %s: dumped %s %s as %s %+v %s, planned %s %s as %s %+v", book.Name, got.Title, cmp.Or(got.Wrong, "as told"),
				got.Way.Fate, got.Way.To, got.Way.Seen, got.Way.Operations, got.Way.Unknown, want.Way.Fate, want.Way.To, want.Way.Seen, want.Way.Operations)
		}
	}
}
