package trial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goiptables "github.com/coreos/go-iptables/iptables"

	"viplab/modes"
	"viplab/results"
)

// plainChain holds rules of the kind that published measurements of iptables
// itself used: a source address each, no chain of their own. Nothing jumps to it.
const plainChain = "VIPLAB-PLAIN"

// plain times iptables itself, without Services: so many plain rules by one call
// each within the plan's limit, one more on top, all in one restore; and the
// restore of many chains with three jumps to each.
func (r *run) plain(ctx context.Context) error {
	if len(r.Plan.Plain) == 0 {
		return nil
	}
	if err := r.buildNet(); err != nil {
		return errors.Join(err, r.tearDown())
	}
	err := r.net.Node.Do(func() error {
		ipt, err := goiptables.New(goiptables.Path("iptables-legacy"))
		if err != nil {
			return fmt.Errorf("find iptables-legacy: %w", err)
		}
		for _, n := range r.Plan.Plain {
			if err := r.plainRules(ctx, ipt, n); err != nil {
				return fmt.Errorf("%d plain rules: %w", n, err)
			}
		}
		return r.manyJumps(ctx)
	})
	return errors.Join(err, r.tearDown())
}

func (r *run) rulesFactor(n int) map[string]string {
	return map[string]string{results.Rules: strconv.Itoa(n)}
}

func plainSource(i int) string {
	return fmt.Sprintf("198.%d.%d.%d/32", 18+i>>16&1, i>>8&255, i&255)
}

func (r *run) plainRules(ctx context.Context, ipt *goiptables.IPTables, n int) error {
	r.step("%d plain rules, one call each", n)
	if err := ipt.ClearChain("filter", plainChain); err != nil {
		return err
	}
	start := time.Now()
	over := false
	for i := 0; i < n && !over; i++ {
		if err := ipt.Append("filter", plainChain, "-s", plainSource(i), "-j", "ACCEPT"); err != nil {
			return err
		}
		over = time.Since(start) > r.Plan.Install
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if over {
		r.censored(results.PlainInstall, r.rulesFactor(n), time.Since(start))
	} else {
		r.record(results.PlainInstall, r.rulesFactor(n), time.Since(start).Seconds())
	}
	if err := ipt.ClearChain("filter", plainChain); err != nil {
		return err
	}
	r.step("%d plain rules, in one restore", n)
	cost, err := restoreFilter(ctx, func(w *bufio.Writer) {
		for i := range n {
			fmt.Fprintf(w, "-A %s -s %s -j ACCEPT\n", plainChain, plainSource(i))
		}
	}, noFlush)
	if err != nil {
		return err
	}
	r.record(results.PlainRestore, r.rulesFactor(n), cost.Total().Seconds())
	return r.plainAppends(ipt, n)
}

// noFlush keeps what is in the table already.
const noFlush = "--noflush"

// restoreFilter writes lines to table filter, in one restore. (Errors of the writer
// stick and come back from its last write.)
func restoreFilter(ctx context.Context, lines func(*bufio.Writer), flags ...string) (modes.Cost, error) {
	_, cost, err := modes.Exec{}.Run(ctx, func(w *bufio.Writer) error {
		fmt.Fprintln(w, "*filter")
		lines(w)
		_, err := fmt.Fprintln(w, "COMMIT")
		return err
	}, "iptables-legacy-restore", flags...)
	return cost, err
}

// plainAppends times single rules on top of n.
func (r *run) plainAppends(ipt *goiptables.IPTables, n int) error {
	var took []float64
	for i := range appends {
		start := time.Now()
		if err := ipt.Append("filter", plainChain, "-s", plainSource(n+i), "-j", "ACCEPT"); err != nil {
			return err
		}
		took = append(took, time.Since(start).Seconds())
	}
	r.record(results.PlainAppend, r.rulesFactor(n), took...)
	return ipt.ClearAndDeleteChain("filter", plainChain)
}

// chainsToJumpTo and jumpsToEach are those of the kernel commit that made the
// check of jump targets fast again (f4dc77713f80).
const chainsToJumpTo, jumpsToEach = 100001, 3

// manyJumps times a restore whose check of jump targets was once quadratic.
func (r *run) manyJumps(ctx context.Context) error {
	r.step("%d jumps to %d chains, in one restore", chainsToJumpTo*jumpsToEach, chainsToJumpTo)
	inner, cancel := context.WithTimeout(ctx, 4*r.Plan.Install)
	defer cancel()
	start := time.Now()
	cost, err := restoreFilter(inner, func(w *bufio.Writer) {
		for i := range chainsToJumpTo {
			fmt.Fprintf(w, ":VIPLAB-%06d - [0:0]\n", i)
		}
		for i := range chainsToJumpTo {
			for range jumpsToEach {
				fmt.Fprintf(w, "-A INPUT -j VIPLAB-%06d\n", i)
			}
		}
	})
	if inner.Err() != nil && ctx.Err() == nil {
		r.censored(results.JumpRestore, r.rulesFactor(chainsToJumpTo*jumpsToEach), time.Since(start))
		return nil
	}
	if err != nil {
		return fmt.Errorf("restore jumps: %w", err)
	}
	r.record(results.JumpRestore, r.rulesFactor(chainsToJumpTo*jumpsToEach), cost.Total().Seconds())
	return nil
}
