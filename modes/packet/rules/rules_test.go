package rules

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"viplab/modes/packet/rules/fake"
)

func text(t *testing.T, from, to Ruleset) string {
	t.Helper()
	var b strings.Builder
	if _, err := Edit(bufio.NewWriter(&b), from, to); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAppendRule(t *testing.T) {
	ip := netip.MustParsePrefix("10.96.0.1/32")
	for want, r := range map[string]Rule{
		` -m comment --comment "x y" -m tcp -p tcp -d 10.96.0.1/32 --dport 80 -j KUBE-SVC-A`: {Comment: "x y", Proto: "tcp", Dst: ip, DPort: 80, Chain: "KUBE-SVC-A"},
		` -m tcp -p tcp -d 10.96.0.1/32 --dport 80 ! -s 10.128.0.0/9 -j KUBE-MARK-MASQ`:      {Proto: "tcp", Dst: ip, DPort: 80, Src: netip.MustParsePrefix("10.128.0.0/9"), NotSrc: true, Chain: "KUBE-MARK-MASQ"},
		` -m statistic --mode random --probability 0.3333333333 -j C`:                        {Chance: 3, Chain: "C"},
		` -j C`: {Chance: 1, Chain: "C"},
		` -m udp -p udp -j DNAT --to-destination 10.128.0.1:53`:                                     {Proto: "udp", Target: DNAT, To: netip.MustParseAddrPort("10.128.0.1:53")},
		` -m udp -p udp -j REDIRECT --to-ports 53`:                                                  {Proto: "udp", Target: Redirect, To: netip.MustParseAddrPort("10.128.0.1:53")},
		` -m mark ! --mark 0x4000/0x4000 -j RETURN`:                                                 {NotMark: 0x4000, Target: Return},
		` -m mark --mark 0x4000/0x4000 -j ACCEPT`:                                                   {HasMark: 0x4000, Target: Accept},
		` -j MARK --or-mark 0x4000`:                                                                 {Target: OrMark, Mark: 0x4000},
		` -j MARK --xor-mark 0x4000`:                                                                {Target: XorMark, Mark: 0x4000},
		` -m addrtype --dst-type LOCAL -j REJECT`:                                                   {DstLocal: true, Target: Reject},
		` -m set --match-set S dst,dst,src -m conntrack --ctstate NEW -j MASQUERADE --random-fully`: {Set: "S", SetDirs: "dst,dst,src", CTState: "NEW", Target: Masquerade},
		` -j DROP`: {Target: Drop},
	} {
		if got := string(AppendRule(nil, &r)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// random makes a Ruleset of some chains out of a pool, with some rules each.
func random(rng *rand.Rand) Ruleset {
	nat := Table{Name: "nat"}
	var names []string
	for i := range 6 {
		if rng.IntN(3) > 0 {
			names = append(names, fmt.Sprintf("KUBE-%d", i))
		}
	}
	rule := func() Rule {
		r := Rule{DPort: uint16(1 + rng.IntN(12)), Target: Return}
		if len(names) > 0 && rng.IntN(2) == 0 {
			r.Target, r.Chain = Jump, names[rng.IntN(len(names))]
		}
		return r
	}
	for _, n := range append([]string{"PREROUTING"}, names...) {
		c := &Chain{Name: n}
		for range rng.IntN(20) {
			// A built-in chain must not hold a rule twice: rules are deleted
			// from it by what they say.
			if r := rule(); n != "PREROUTING" || !slices.Contains(c.Rules, r) {
				c.Rules = append(c.Rules, r)
			}
		}
		nat.Chains = append(nat.Chains, c)
	}
	return Ruleset{Tables: []Table{nat}}
}

// small alters a Ruleset in a few places.
func small(rng *rand.Rand, rs Ruleset) Ruleset {
	out := rs.Fixed()
	chains := slices.Clone(out.Tables[0].Chains)
	for range 1 + rng.IntN(3) {
		i := rng.IntN(len(chains))
		c := &Chain{Name: chains[i].Name, Rules: slices.Clone(chains[i].Rules)}
		at := rng.IntN(len(c.Rules) + 1)
		if at < len(c.Rules) && rng.IntN(2) == 0 {
			c.Rules = slices.Delete(c.Rules, at, at+1)
		} else {
			c.Rules = slices.Insert(c.Rules, at, Rule{DPort: uint16(100 + rng.IntN(1000)), Target: Return})
		}
		chains[i] = c
	}
	out.Tables[0].Chains = chains
	return out
}

// TestEdit proves that edits, one after another, lead to what a full load gives.
func TestEdit(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		kernel, now := fake.Tables{}, Ruleset{}
		for step := range 8 {
			next := random(rng)
			if step%2 == 1 {
				next = small(rng, now)
			}
			edit := text(t, now, next)
			if err := kernel.Load(edit); err != nil {
				t.Fatalf("seed %d step %d: %v in\n%s", seed, step, err, edit)
			}
			fresh := fake.Tables{}
			if err := fresh.Load(text(t, Ruleset{}, next)); err != nil {
				t.Fatal(err)
			}
			if a, b := kernel.Dump(), fresh.Dump(); a != b {
				t.Fatalf("seed %d step %d: edited to\n%s\nwant\n%s\nby\n%s", seed, step, a, b, edit)
			}
			if again := text(t, next, next); again != "" || !Same(next, next) {
				t.Fatalf("an edit to the same wrote %q", again)
			}
			now = next
		}
	}
}

func TestMoreIsLoadedAndCleared(t *testing.T) {
	more := func(yield func(*Chain) bool) {
		for i := range 3 {
			next := fmt.Sprintf("KUBE-M%d", (i+1)%3)
			if !yield(&Chain{Name: fmt.Sprintf("KUBE-M%d", i), Rules: []Rule{{Chain: next}}}) {
				return
			}
		}
	}
	names := func(yield func(string) bool) {
		for c := range more {
			if !yield(c.Name) {
				return
			}
		}
	}
	rs := Ruleset{Tables: []Table{{Name: "nat", Chains: []*Chain{{Name: "OUTPUT", Rules: []Rule{{Chain: "KUBE-M0"}}}}, More: more, Names: names}}}
	if chains, rules := rs.Count(); chains != 3 || rules != 4 {
		t.Errorf("counted %d chains, %d rules", chains, rules)
	}
	kernel := fake.Tables{}
	if err := kernel.Load(text(t, Ruleset{}, rs)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(kernel.Dump(), "KUBE-M2") {
		t.Error("chains are missing")
	}
	if err := kernel.Load(text(t, rs, Ruleset{})); err != nil {
		t.Fatal(err)
	}
	if kernel.Dump() != "" {
		t.Errorf("left behind: %s", kernel.Dump())
	}
}

// TestSmallEditIsSmall: one rule in a long chain must not rewrite the chain.
func TestSmallEditIsSmall(t *testing.T) {
	long := make([]Rule, 1000)
	for i := range long {
		long[i] = Rule{DPort: uint16(i + 1), Target: Return}
	}
	chain := func(r []Rule) Ruleset {
		return Ruleset{Tables: []Table{{Name: "nat", Chains: []*Chain{{Name: "KUBE-X", Rules: r}}}}}
	}
	two := slices.Insert(slices.Delete(slices.Clone(long), 10, 11), 900, Rule{DPort: 5000, Target: Drop})
	got := text(t, chain(long), chain(two))
	if n := strings.Count(got, "\n"); n != 4 {
		t.Errorf("two changes took %d lines:\n%s", n, got)
	}
}

// TestCalls: the other way to write leads to the same rules.
func TestCalls(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		from := random(rng)
		for _, to := range []Ruleset{small(rng, from), random(rng)} {
			want, called := fake.Tables{}, fake.Tables{}
			for _, k := range []fake.Tables{want, called} {
				if err := k.Load(text(t, Ruleset{}, from)); err != nil {
					t.Fatal(err)
				}
			}
			if err := want.Load(text(t, from, to)); err != nil {
				t.Fatal(err)
			}
			for c := range Calls(from, to) {
				if err := called.Load(line(c)); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			if called.Dump() != want.Dump() {
				t.Fatalf("seed %d: calls led to\n%s\nwant\n%s", seed, called.Dump(), want.Dump())
			}
		}
	}
}

// TestMend: whatever others did to the rules, and whatever of another Ruleset is left, the
// kernel holds the whole afterwards, and others' own rules are as they were.
func TestMend(t *testing.T) {
	const foreign = `-i eth0 -m comment --comment "not -j KUBE-A" -j ACCEPT`
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		left, to := random(rng), random(rng)
		for _, rs := range []Ruleset{left, to} {
			chains := rs.Tables[0].Chains
			// A hook leads to a chain by one rule.
			hooks := []Rule{{Comment: "first", Chain: chains[1].Name}}
			if len(chains) > 2 && rng.IntN(2) == 0 {
				hooks = append(hooks, Rule{Comment: "then", Chain: chains[2].Name})
			}
			chains[0] = &Chain{Name: "PREROUTING", Rules: hooks}
		}
		kernel, want := fake.Tables{}, fake.Tables{}
		if err := kernel.Load("*nat\nCOMMIT\n" + text(t, Ruleset{}, left)); err != nil {
			t.Fatal(err)
		}
		damage(rng, kernel["nat"])
		kernel["nat"]["PREROUTING"] = append([]string{foreign}, kernel["nat"]["PREROUTING"]...)
		var b strings.Builder
		if _, err := Mend(bufio.NewWriter(&b), map[string]Found{"nat": Find([]byte(kernel.Save("nat")))}, to); err != nil {
			t.Fatal(err)
		}
		if err := kernel.Load(b.String()); err != nil {
			t.Fatalf("seed %d: %v in\n%s", seed, err, b.String())
		}
		if err := want.Load(text(t, Ruleset{}, to)); err != nil {
			t.Fatal(err)
		}
		want["nat"]["PREROUTING"] = append([]string{foreign}, want["nat"]["PREROUTING"]...)
		if kernel.Dump() != want.Dump() {
			t.Fatalf("seed %d: mended to\n%s\nwant\n%s\nby\n%s", seed, kernel.Dump(), want.Dump(), b.String())
		}
	}
}

// damage takes rules away from some chains and from the hook.
func damage(rng *rand.Rand, table map[string][]string) {
	for _, chain := range slices.Sorted(maps.Keys(table)) {
		if n := len(table[chain]); n > 0 && rng.IntN(2) == 0 {
			table[chain] = slices.Clone(table[chain][:rng.IntN(n)])
		}
	}
}

// line is a call as restore text of its own.
func line(c Call) string {
	text := c.Verb + " " + c.Chain
	if c.Verb == ":" {
		text = ":" + c.Chain + " - [0:0]"
	}
	if c.At > 0 {
		text += fmt.Sprintf(" %d", c.At)
	}
	if len(c.Spec) > 0 {
		text += " " + strings.Join(c.Spec, " ")
	}
	return "*" + c.Table + "\n" + text + "\nCOMMIT\n"
}
