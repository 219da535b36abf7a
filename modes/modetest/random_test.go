package modetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/direct"
	"viplab/modes/packet/dump"
	"viplab/modes/snapshot/synth"
)

// randomSets is how many sets of rules are tried of each kind, and with how many packets.
const (
	randomSets    = 20
	randomPackets = 4
)

// TestRandomRules: of random rules, the tracer says of a dump that a packet matches those
// whose counters the kernel raises.
func TestRandomRules(t *testing.T) {
	if inside.Testbed() == testbed.UMLName {
		return // any kernel will do
	}
	for _, k := range []struct {
		name  string
		write func(*rand.Rand) string
		load  []string
		dump  []string
		count func(string) map[string]bool
	}{
		{"iptables", randomTables, []string{"iptables-legacy-restore"}, []string{"iptables-legacy-save", "-c"}, countedOfSave},
		{"nft", randomRuleset, []string{"nft", "-f", "-"}, []string{"nft", "-j", "list", "ruleset"}, countedOfNFT},
	} {
		t.Run(k.name, func(t *testing.T) {
			b := NewRig(t, direct.Mode(), nil, synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1})
			silence(t, b)
			rng := rand.New(rand.NewPCG(7, 7))
			port := 20000
			for range randomSets {
				text := k.write(rng)
				for range randomPackets {
					port++
					b.inNode(strings.NewReader(text), k.load...)
					f := randomFlow(rng, uint16(port))
					b.sendOne(f)
					out := b.inNode(nil, k.dump...)
					if err := sameRules(out, f, k.count(out)); err != nil {
						t.Fatalf("%s: %v\n%s", f, err, out)
					}
				}
			}
		})
	}
}

// silence keeps the others from answering, whose answers would be counted too.
func silence(t *testing.T, b *Rig) {
	for _, ns := range []*topo.Namespace{b.Net.Client, b.Net.Backend} {
		err := ns.Do(func() error { return exec.Command("iptables-legacy", "-A", "INPUT", "-j", "DROP").Run() })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// inNode runs a tool in the node.
func (b *Rig) inNode(in *strings.Reader, args ...string) (out string) {
	b.t.Helper()
	err := b.Net.Node.Do(func() error {
		cmd := exec.Command(args[0], args[1:]...)
		if in != nil {
			cmd.Stdin = in
		}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, &stderr)
		}
		out = stdout.String()
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// Addresses that packets go to, and that rules ask for.
var (
	someAddrs = []string{"10.128.0.1", "10.128.0.2", "10.96.0.10", "10.64.0.1", "10.255.255.1"}
	someNets  = []string{"10.128.0.0/16", "10.96.0.0/12", "10.64.0.1/32", "10.255.255.0/30", "10.128.0.2/32", "0.0.0.0/1"}
	somePorts = []int{53, 80, 443}
)

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

func randomFlow(rng *rand.Rand, port uint16) modes.Flow {
	f := modes.Flow{From: modes.FromClient, Proto: modes.UDP, Src: netip.AddrPortFrom(topo.Of(modes.IPv4).Client.Addr(), port),
		Dst: netip.AddrPortFrom(netip.MustParseAddr(pick(rng, someAddrs)), uint16(pick(rng, somePorts)))}
	if rng.IntN(3) == 0 {
		f.From, f.Src = modes.FromNode, netip.AddrPortFrom(topo.Of(modes.IPv4).Node.Addr(), port)
	}
	return f
}

// sendOne sends one datagram, to which nobody answers.
func (b *Rig) sendOne(f modes.Flow) {
	b.t.Helper()
	ns := b.Net.Client
	if f.From == modes.FromNode {
		ns = b.Net.Node
	}
	err := ns.Do(func() error {
		c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(f.Src), net.UDPAddrFromAddrPort(f.Dst))
		if err != nil {
			return err
		}
		_, _ = c.Write([]byte("x")) // a rule may refuse it
		return c.Close()
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// sameRules holds the rules that a dump's packet matches against those that were counted.
func sameRules(text string, f modes.Flow, counted map[string]bool) error {
	d := dump.New()
	if err := d.Add("dump", []byte(text)); err != nil {
		return err
	}
	d.Finish()
	node := dump.Node{Addrs: topo.NodeAddrs(), In: "to-client", Out: "to-backend"}
	program := d.Program(modes.IPv4, node)
	w := program.Follow(topo.Of(modes.IPv4).Node.Addr(), f)
	if slices.ContainsFunc(w.Steps, func(s modes.Step) bool { return s.Hook == "INPUT" }) {
		// REDIRECT leads what comes in to the device's address; masquerading on lo takes the
		// first device's.
		w = program.Follow(topo.Of(modes.IPv4).ToClient.Addr(), f)
	}
	if w.Unknown != "" {
		return fmt.Errorf("not known: %s", w.Unknown)
	}
	matched := map[string]bool{}
	for _, s := range w.Steps {
		if s.Rule > 0 {
			matched[fmt.Sprintf("%s %s %d", s.Table, s.Chain, s.Rule)] = true
		}
	}
	var wrong []string
	for rule := range matched {
		if !counted[rule] {
			wrong = append(wrong, "said but not counted: "+rule)
		}
	}
	for rule := range counted {
		if !matched[rule] {
			wrong = append(wrong, "counted but not said: "+rule)
		}
	}
	if slices.Sort(wrong); len(wrong) > 0 {
		return fmt.Errorf("%v, %+v", wrong, w.Steps)
	}
	return nil
}

var savedRule = regexp.MustCompile(`^\[(\d+):\d+\] -A (\S+)( -p icmp -j DROP$)?`)

// countedOfSave are the rules whose counters are not zero, but for that which keeps the
// node's own errors in.
func countedOfSave(text string) map[string]bool {
	out, table, at := map[string]bool{}, "", map[string]int{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
		}
		if m := savedRule.FindStringSubmatch(line); m != nil {
			at[table+" "+m[2]]++
			if m[1] != "0" && m[3] == "" {
				out[fmt.Sprintf("%s %s %d", table, m[2], at[table+" "+m[2]])] = true
			}
		}
	}
	return out
}

// countedOfNFT are the rules whose counters are not zero, of table t.
func countedOfNFT(text string) map[string]bool {
	var list struct {
		Objects []struct {
			Rule struct {
				Table, Chain string
				Expr         []struct{ Counter struct{ Packets int } }
			}
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil
	}
	out, at := map[string]bool{}, map[string]int{}
	for _, o := range list.Objects {
		if o.Rule.Table != "t" {
			continue
		}
		at[o.Rule.Chain]++
		for _, e := range o.Rule.Expr {
			if e.Counter.Packets > 0 {
				out[fmt.Sprintf("ip t %s %d", o.Rule.Chain, at[o.Rule.Chain])] = true
			}
		}
	}
	return out
}
