package iptables

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	goiptables "github.com/coreos/go-iptables/iptables"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/modes/packet/rules"
)

// Backends are the kernel interfaces that iptables programs exist for. The guest
// has only legacy.
const (
	Legacy = "legacy"
	NFT    = "nft"
)

// Backends lists them, the default first.
func Backends() []string { return []string{Legacy, NFT} }

// Strategy is how an update is written.
type Strategy string

// Strategies.
const (
	// Partial: one iptables-restore --noflush of only what changed, as
	// kube-proxy has it since 1.26.
	Partial Strategy = "partial"
	// Rewrite: iptables-save, then one iptables-restore --noflush of every
	// rule, as kube-proxy had it before.
	Rewrite Strategy = "rewrite"
	// Append: one iptables call for each rule.
	Append Strategy = "append"
)

// Strategies lists them, the default first.
func Strategies() []Strategy { return []Strategy{Partial, Rewrite, Append} }

// Restorer brings iptables from one Ruleset to the next and remembers what it
// committed. After an error the kernel may hold a part of what was to be committed: each
// table is replaced at once, but not all tables are. The next Commit therefore reads back
// which chains there are, and writes the whole.
type Restorer struct {
	// Runner starts the tools, [modes.Exec] if nil.
	Runner modes.Runner
	// Backend is the kernel interface, [Legacy] if empty.
	Backend string
	// Strategy is how updates are written, [Partial] if empty.
	Strategy Strategy
	// Family is IPv4 (the default) or IPv6, each of which has tables of its own.
	Family modes.Family

	current rules.Ruleset
	failed  bool                 // the last commit; current may not be what there is
	tables  []string             // that were written to
	calls   *goiptables.IPTables // of strategy Append
}

func (r *Restorer) runner() modes.Runner {
	if r.Runner == nil {
		return modes.Exec{}
	}
	return r.Runner
}

// command is the program of the backend and family: "iptables-legacy".
func (r *Restorer) command() string {
	name := "iptables-"
	if r.Family == modes.IPv6 {
		name = "ip6tables-"
	}
	return name + cmp.Or(r.Backend, Legacy)
}

// finder is go-iptables for the same program.
func (r *Restorer) finder() (*goiptables.IPTables, error) {
	protocol := goiptables.ProtocolIPv4
	if r.Family == modes.IPv6 {
		protocol = goiptables.ProtocolIPv6
	}
	return goiptables.New(goiptables.Path(r.command()), goiptables.Timeout(5), goiptables.IPFamily(protocol))
}

// Commit makes the kernel hold the Ruleset. Nothing is started when nothing
// differs.
func (r *Restorer) Commit(ctx context.Context, next rules.Ruleset) (modes.Cost, error) {
	return r.CommitPart(ctx, r.current, next, next)
}

// CommitPart turns the part from of what is committed into the part to; whole
// is what the kernel holds then.
func (r *Restorer) CommitPart(ctx context.Context, from, to, whole rules.Ruleset) (cost modes.Cost, err error) {
	start := clock.Now()
	if !r.failed && rules.Same(from, to) {
		r.current = whole
		return modes.Cost{Plan: clock.Since(start)}, nil
	}
	for _, t := range whole.Tables {
		if !slices.Contains(r.tables, t.Name) {
			r.tables = append(r.tables, t.Name)
		}
	}
	switch {
	case r.failed || r.Strategy == Rewrite:
		cost, err = r.mend(ctx, whole)
	case r.Strategy == Append:
		cost, err = r.call(ctx, rules.Calls(from, to))
	default:
		cost, err = r.restore(ctx, func(w *bufio.Writer) (int, error) { return rules.Edit(w, from, to) })
	}
	r.failed = err != nil
	cost.Plan += clock.Since(start) - cost.Total()
	if err != nil && r.Backend == NFT && strings.Contains(err.Error(), "Message too long") {
		err = &modes.MissingError{Need: "socket buffers large enough for one nft transaction of this size", Mend: "run as root", Err: err}
	}
	if err != nil {
		return cost, fmt.Errorf("commit %d rules: %w", cost.Rules, err)
	}
	r.current = whole
	return cost, nil
}

// restore starts iptables-restore and feeds it what write writes, which says how many
// rules that adds or deletes.
func (r *Restorer) restore(ctx context.Context, write func(*bufio.Writer) (int, error)) (modes.Cost, error) {
	n := 0
	_, cost, err := r.runner().Run(ctx, func(w *bufio.Writer) (err error) {
		n, err = write(w)
		return err
	}, r.command()+"-restore", "-w", "5", "--noflush", "--counters")
	cost.Rules = n
	return cost, err
}

// Refresh reads everything back and writes it again, whatever there is.
func (r *Restorer) Refresh(ctx context.Context) (modes.Cost, error) {
	cost, err := r.mend(ctx, r.current)
	r.failed = err != nil
	return cost, err
}

// mend reads the tables back and writes them whole, as kube-proxy did before 1.26: it
// took the existing chains from what it read.
func (r *Restorer) mend(ctx context.Context, whole rules.Ruleset) (modes.Cost, error) {
	start := clock.Now()
	var cost modes.Cost
	found := map[string]rules.Found{}
	for _, table := range r.tables {
		out, c, err := r.runner().Run(ctx, nil, r.command()+"-save", "-t", table)
		c.Plan, c.Start, c.Encode, c.Commit = 0, 0, 0, 0
		cost.Add(c)
		if err != nil {
			return cost, err
		}
		found[table] = rules.Find(out)
	}
	cost.ReadBack = clock.Since(start)
	c, err := r.restore(ctx, func(w *bufio.Writer) (int, error) { return rules.Mend(w, found, whole) })
	cost.Add(c)
	return cost, err
}

// call starts one process a change. A context that ends stops it between two
// calls, with the cost so far.
func (r *Restorer) call(ctx context.Context, calls iter.Seq[rules.Call]) (cost modes.Cost, err error) {
	if r.calls == nil {
		if r.calls, err = r.finder(); err != nil {
			return cost, fmt.Errorf("find %s: %w", r.command(), err)
		}
	}
	start := clock.Now()
	defer func() { cost.Commit = clock.Since(start) }()
	for c := range calls {
		if err := ctx.Err(); err != nil {
			return cost, err
		}
		switch {
		case c.Verb == ":":
			err = r.calls.ClearChain(c.Table, c.Chain)
		case c.Verb == "-X":
			err = r.calls.DeleteChain(c.Table, c.Chain)
		case c.Verb == "-I":
			err = r.calls.Insert(c.Table, c.Chain, c.At, c.Spec...)
		case c.Verb == "-D" && c.At > 0:
			err = r.calls.DeleteById(c.Table, c.Chain, c.At)
		case c.Verb == "-D":
			err = r.calls.Delete(c.Table, c.Chain, c.Spec...)
		default:
			err = r.calls.Append(c.Table, c.Chain, c.Spec...)
		}
		if err != nil {
			return cost, fmt.Errorf("%s in table %s: %w", c.Verb, c.Table, err)
		}
		cost.ToolCalls++
		if c.Verb != ":" && c.Verb != "-X" {
			cost.Rules++
		}
	}
	return cost, nil
}

// Current is what was committed last.
func (r *Restorer) Current() rules.Ruleset { return r.current }

// Clear removes all that was committed. If that is not what there is any more, it reads
// back what there is.
func (r *Restorer) Clear() error {
	if len(r.tables) == 0 {
		return nil
	}
	// In one call, however the rules were written.
	err := error(nil)
	if !r.failed {
		_, err = r.restore(context.Background(), func(w *bufio.Writer) (int, error) { return rules.Edit(w, r.current, rules.Ruleset{}) })
	}
	if r.failed || err != nil {
		_, err = r.mend(context.Background(), rules.Ruleset{})
	}
	if err != nil {
		return fmt.Errorf("clear iptables: %w", err)
	}
	r.current, r.failed, r.tables = rules.Ruleset{}, false, nil
	return nil
}

// Probe says whether iptables works here, with the matches and targets that
// the rules need, by committing one rule of each kind to a chain that nothing
// jumps to and taking it away again.
func (r *Restorer) Probe(ctx context.Context) error {
	if _, err := r.finder(); err != nil {
		return &modes.MissingError{Need: "the tool " + r.command(), Mend: "sudo apt-get install iptables", Err: err}
	}
	vip, to := "10.96.0.1", "10.128.0.1:80"
	if r.Family == modes.IPv6 {
		vip, to = "fd00::1", "[fd00::2]:80"
	}
	input := fmt.Sprintf(`*nat
:VIPLAB-PROBE - [0:0]
-A VIPLAB-PROBE -m comment --comment probe -m statistic --mode random --probability 0.5 -m tcp -p tcp -d %s --dport 80 -j DNAT --to-destination %s
-A VIPLAB-PROBE -m addrtype --dst-type LOCAL -m mark ! --mark 0x4000/0x4000 -j RETURN
-A VIPLAB-PROBE -j MARK --or-mark 0x4000
-F VIPLAB-PROBE
-X VIPLAB-PROBE
COMMIT
`, vip, to)
	_, _, err := r.runner().Run(ctx, modes.Text(input), r.command()+"-restore", "-w", "5", "--noflush")
	mend := "sudo modprobe iptable_nat, or a kernel with it"
	if r.Backend == NFT {
		mend = "sudo modprobe nf_tables nft_compat, or a kernel with them and nf_tables' families of IP"
	}
	if err != nil && !modes.IsMissing(err) {
		return &modes.MissingError{Need: r.command() + " in this kernel", Mend: mend, Err: err}
	}
	return err
}

// Dump is what iptables-save says of the tables that were committed to.
func (r *Restorer) Dump(ctx context.Context) (string, error) {
	var b strings.Builder
	for _, t := range r.current.Tables {
		out, _, err := r.runner().Run(ctx, nil, r.command()+"-save", "-t", t.Name)
		if err != nil {
			return "", fmt.Errorf("dump table %s: %w", t.Name, err)
		}
		b.Write(out)
	}
	return b.String(), nil
}
