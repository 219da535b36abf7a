package explain_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/lab/explain"
	"viplab/lab/testbed/inside"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/modetest"
	"viplab/modes/synth"
	"viplab/workload"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

// TestExplainAgainstCounters sends the packets that explain follows, and holds
// the rules that it says they match against the kernel's counters. The nat table
// sees only the first packet of a flow, so a counter there is one or nothing.
func TestExplainAgainstCounters(t *testing.T) {
	for _, m := range catalog.All().Serving() {
		t.Run(m.Name, func(t *testing.T) {
			b := modetest.NewRig(t, m, nil, synth.Spec{Services: 9, Endpoints: 3, Ports: 1, Seed: 7})
			if err := b.Net.LetPodsDial(); err != nil {
				t.Fatal(err)
			}
			q := explain.Question{Synth: b.Synth, Known: catalog.All(), Modes: []string{m.Name}, Cases: explain.Cases(), Position: 5, Endpoint: 1}
			for _, c := range explain.Cases() {
				b.Program(q.Snapshot(c))
				f := q.Flow(c)
				tool(t, b, "iptables-legacy", "-t", "nat", "-Z")
				answer, err := send(t, b, f, q.Endpoint)
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
				want, got := natRules(way), counted(t, b)
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
func send(t *testing.T, b *modetest.Rig, f modes.Flow, endpoint int) (a workload.Answer, err error) {
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
		tool(t, b, "iptables-legacy", "-t", "nat", "-Z")
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

// natRules lists the rules of table nat that a way matches.
func natRules(w explain.Way) []string {
	var out []string
	for _, s := range w.Steps {
		if s.Table == "nat" {
			out = append(out, fmt.Sprintf("%s %d x%d", s.Chain, s.Rule, 1))
		}
	}
	return merge(out)
}

// counted lists the rules of table nat whose counters are not zero.
func counted(t *testing.T, b *modetest.Rig) []string {
	line := regexp.MustCompile(`^\[(\d+):\d+\] -A (\S+)`)
	at := map[string]int{}
	var out []string
	for l := range strings.Lines(tool(t, b, "iptables-legacy-save", "-c", "-t", "nat")) {
		m := line.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		at[m[2]]++
		if m[1] != "0" {
			out = append(out, fmt.Sprintf("%s %d x%s", m[2], at[m[2]], m[1]))
		}
	}
	slices.Sort(out)
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
