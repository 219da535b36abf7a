package iptables

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	goiptables "github.com/coreos/go-iptables/iptables"

	"viplab/modes"
	"viplab/modes/rules"
)

// Command is the iptables program of the lab: the legacy backend, whose kernel
// part the guest and the native testbed both have.
const Command = "iptables-legacy"

// Restorer brings iptables from one Ruleset to the next with one call of
// iptables-restore, and remembers what it committed.
type Restorer struct {
	// Runner starts the tools, [modes.Exec] if nil.
	Runner modes.Runner

	current rules.Ruleset
}

func (r *Restorer) runner() modes.Runner {
	if r.Runner == nil {
		return modes.Exec{}
	}
	return r.Runner
}

// Commit makes the kernel hold the Ruleset. Nothing is started when nothing
// differs.
func (r *Restorer) Commit(ctx context.Context, next rules.Ruleset) (modes.Cost, error) {
	return r.CommitPart(ctx, r.current, next, next)
}

// CommitPart turns the part from of what is committed into the part to; whole
// is what the kernel holds then.
func (r *Restorer) CommitPart(ctx context.Context, from, to, whole rules.Ruleset) (modes.Cost, error) {
	start := time.Now()
	if rules.Same(from, to) {
		r.current = whole
		return modes.Cost{Encode: time.Since(start)}, nil
	}
	n := 0
	_, cost, err := r.runner().Run(ctx, func(w *bufio.Writer) (err error) {
		n, err = rules.Edit(w, from, to)
		return err
	}, Command+"-restore", "-w", "5", "--noflush", "--counters")
	cost.Rules = n
	cost.Plan += time.Since(start) - cost.Encode - cost.Commit
	if err != nil {
		return cost, fmt.Errorf("commit %d rules: %w", n, err)
	}
	r.current = whole
	return cost, nil
}

// Current is what was committed last.
func (r *Restorer) Current() rules.Ruleset { return r.current }

// Clear removes all that was committed.
func (r *Restorer) Clear() error {
	_, err := r.Commit(context.Background(), rules.Ruleset{})
	if err != nil {
		return fmt.Errorf("clear iptables: %w", err)
	}
	return nil
}

// Probe says whether iptables works here, with the matches and targets that
// the rules need, by committing one rule of each kind to a chain that nothing
// jumps to and taking it away again.
func (r *Restorer) Probe(ctx context.Context) error {
	if _, err := goiptables.New(goiptables.Path(Command)); err != nil {
		return &modes.MissingError{Need: "the tool " + Command, Mend: "sudo apt-get install iptables", Err: err}
	}
	const input = `*nat
:VIPLAB-PROBE - [0:0]
-A VIPLAB-PROBE -m comment --comment probe -m statistic --mode random --probability 0.5 -m tcp -p tcp -d 10.96.0.1 --dport 80 -j DNAT --to-destination 10.128.0.1:80
-A VIPLAB-PROBE -m addrtype --dst-type LOCAL -m mark ! --mark 0x4000/0x4000 -j RETURN
-A VIPLAB-PROBE -j MARK --or-mark 0x4000
-F VIPLAB-PROBE
-X VIPLAB-PROBE
COMMIT
`
	_, _, err := r.runner().Run(ctx, modes.Text(input), Command+"-restore", "-w", "5", "--noflush")
	if err != nil && !modes.IsMissing(err) {
		return &modes.MissingError{Need: "iptables (legacy) in this kernel", Mend: "use --testbed uml", Err: err}
	}
	return err
}

// Dump is what iptables-save says of the tables that were committed to.
func (r *Restorer) Dump(ctx context.Context) (string, error) {
	var b strings.Builder
	for _, t := range r.current.Tables {
		out, _, err := r.runner().Run(ctx, nil, Command+"-save", "-t", t.Name)
		if err != nil {
			return "", fmt.Errorf("dump table %s: %w", t.Name, err)
		}
		b.Write(out)
	}
	return b.String(), nil
}
