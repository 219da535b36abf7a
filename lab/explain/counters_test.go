package explain_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"viplab/lab/explain"
	"viplab/lab/testbed/inside"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/modetest"
	"viplab/modes/nftables"
	"viplab/modes/snapshot/synth"
	"viplab/workload"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

// TestExplainAgainstCounters sends the packets that explain follows, and holds
// the rules that it says they match against the kernel's counters. Those of iptables'
// nat table, and all of nftables, see only the first packet of a flow, so a counter there
// is one or nothing.
func TestExplainAgainstCounters(t *testing.T) {
	for _, m := range catalog.All().Serving() {
		t.Run(m.Name, func(t *testing.T) {
			b := modetest.NewRig(t, m, nil, synth.Spec{Services: 9, Endpoints: 3, Ports: 1, Seed: 7})
			if err := b.Net.LetPodsDial(); err != nil {
				t.Fatal(err)
			}
			if p, ok := b.Proxier.(*nftables.Proxier); ok {
				p.CountPackets()
			}
			if p, ok := b.Proxier.(*nftables.Proxier); ok {
				p.CountPackets()
			}
			count := &counters{t: t, b: b}
			q := explain.Question{Synth: b.Synth, Known: catalog.All(), Modes: []string{m.Name}, Cases: explain.Cases(), Position: 5, Endpoint: 1}
			for _, c := range explain.Cases() {
				b.Program(q.Snapshot(c))
				f := q.Flow(c)
				count.forget()
				answer, err := send(b, count, f, q.Endpoint)
				if answered := err == nil; answered != (c == explain.FromClient || c == explain.FromNode || c == explain.Hairpin) {
					t.Errorf("%s: %v, %v", c, answer, err)
					continue
				}
				if err == nil {
					q.Endpoint = slices.Index(b.Synth.Service(q.Position).Endpoints, modes.Endpoint{Addr: answer.Endpoint})
				}
				answers, err := explain.Run(q)
				if err != nil {
					t.Fatal(err)
				}
				way := answers[0].Ways[slices.Index(q.Cases, c)]
				want, got := countedRules(way), count.counted()
				if way.Fate == modes.Refused {
					// A refusal that comes while connect is still under way is not
					// taken for final: the SYN is sent again.
					for i := range got {
						got[i], _, _ = strings.Cut(got[i], " x")
					}
					for i := range want {
						want[i], _, _ = strings.Cut(want[i], " x")
					}
				}
				if !slices.Equal(want, got) {
					t.Errorf("%s: explained %v, counted %v", c, want, got)
				}
				if answer.Endpoint.IsValid() && (answer.Endpoint != way.To.Addr() || f.From != modes.FromNode && way.Masqueraded != (answer.Source != f.Src.Addr())) {
					t.Errorf("%s: explained %s from %v, got %+v", c, way.To, way.Masqueraded, answer)
				}
			}
		})
	}
}

// send sends a flow's packet. A hairpin is tried until chance chooses the endpoint
// that sent it.
func send(b *modetest.Rig, c *counters, f modes.Flow, endpoint int) (a workload.Answer, err error) {
	// The answer of any other endpoint does not pass the node, since both are in one
	// namespace: only the hairpin comes to an end.
	p := &workload.Prober{Source: f.Src.Addr(), Wait: 200 * time.Millisecond}
	for range 100 {
		switch f.From {
		case modes.FromNode:
			err = b.Net.Node.Do(func() error { a, err = b.InNode.AskBoth(f.Proto, f.Dst); return err })
			return a, err
		case modes.FromClient:
			err = b.Net.Client.Do(func() error { a, err = b.Prober.AskBoth(f.Proto, f.Dst); return err })
			return a, err
		}
		err = b.Net.Backend.Do(func() error { a, err = p.AskBoth(f.Proto, f.Dst); return err })
		if err == nil && a.Endpoint == f.Src.Addr() {
			return a, err
		}
		c.forget()
	}
	return a, fmt.Errorf("endpoint %d was never chosen", endpoint)
}

func tool(t *testing.T, b *modetest.Rig, name string, args ...string) (out string) {
	t.Helper()
	err := b.Net.Node.Do(func() error {
		text, err := exec.Command(name, args...).CombinedOutput()
		out = string(text)
		return err
	})
	if err != nil {
		t.Fatalf("%s %v: %v %s", name, args, err, out)
	}
	return out
}

// countedRules lists the rules that a way matches, of those whose counters are looked
// at.
func countedRules(w explain.Way) []string {
	var out []string
	for _, s := range w.Steps {
		if s.Table == "nat" || s.Table == "ip "+nftables.TableName {
			out = append(out, fmt.Sprintf("%s %d x%d", s.Chain, s.Rule, 1))
		}
	}
	return merge(out)
}

// counters are those of a mode's rules, as they were when they were last forgotten.
type counters struct {
	t      *testing.T
	b      *modetest.Rig
	before map[string]int
}

func (c *counters) ofNFT() bool {
	_, ok := c.b.Proxier.(*nftables.Proxier)
	return ok
}

// forget begins to count anew.
func (c *counters) forget() {
	if c.ofNFT() {
		c.before = c.nft()
		return
	}
	tool(c.t, c.b, "iptables-legacy", "-t", "nat", "-Z")
}

// counted lists the rules whose counters are not zero: of iptables those of table nat.
func (c *counters) counted() (out []string) {
	now := c.iptables
	if c.ofNFT() {
		now = c.nft
	}
	for rule, n := range now() {
		if n -= c.before[rule]; n > 0 {
			out = append(out, fmt.Sprintf("%s x%d", rule, n))
		}
	}
	slices.Sort(out)
	return out
}

// nft are the counters of mode nftables's rules, by chain and place.
func (c *counters) nft() map[string]int {
	text := ""
	err := c.b.Net.Node.Do(func() (err error) {
		text, err = c.b.Proxier.Dump(c.t.Context())
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.read(text, `^rule (?P<chain>\S+) .*counter packets (?P<n>\d+)`)
}

func (c *counters) iptables() map[string]int {
	return c.read(tool(c.t, c.b, "iptables-legacy-save", "-c", "-t", "nat"), `^\[(?P<n>\d+):\d+\] -A (?P<chain>\S+)`)
}

// read finds counters in what a tool lists, each rule in its place among those of its
// chain that are counted.
func (c *counters) read(text, pattern string) map[string]int {
	line := regexp.MustCompile(pattern)
	at, out := map[string]int{}, map[string]int{}
	for l := range strings.Lines(text) {
		m := line.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		chain := m[line.SubexpIndex("chain")]
		n, err := strconv.Atoi(m[line.SubexpIndex("n")])
		if err != nil {
			c.t.Fatal(err)
		}
		at[chain]++
		out[fmt.Sprintf("%s %d", chain, at[chain])] = n
	}
	return out
}

// merge counts equal rules together: "CHAIN 1 x1" twice is "CHAIN 1 x2".
func merge(list []string) []string {
	n := map[string]int{}
	for _, l := range list {
		rule, _, _ := strings.Cut(l, " x")
		n[rule]++
	}
	var out []string
	for rule, k := range n {
		out = append(out, fmt.Sprintf("%s x%d", rule, k))
	}
	slices.Sort(out)
	return out
}
