package measure

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"time"

	goiptables "github.com/coreos/go-iptables/iptables"

	"viplab/lab/trial"
	"viplab/results"
)

// Plain times iptables itself, without Services.
func Plain() trial.Measurement {
	return trial.Measurement{Name: "plain rules", Alone: true, Wanted: func(st *trial.Stage) bool { return len(st.Plan.Plain) > 0 }, Run: plain}
}

// plainChain holds rules of the kind that published measurements of iptables
// itself used: a source address each, no chain of their own. Nothing jumps to it.
const plainChain = "VIPLAB-PLAIN"

// plain times iptables itself, without Services: so many plain rules by one call
// each within the plan's limit, one more on top, all in one restore; and the
// restore of many chains with three jumps to each.
func plain(ctx context.Context, st *trial.Stage) error {
	if err := st.BuildNet(); err != nil {
		return err
	}
	return st.Net.Node.Do(func() error {
		ipt, err := goiptables.New(goiptables.Path("iptables-legacy"))
		if err != nil {
			return fmt.Errorf("find iptables-legacy: %w", err)
		}
		for _, n := range st.Plan.Plain {
			if err := plainRules(ctx, st, ipt, n); err != nil {
				return fmt.Errorf("%d plain rules: %w", n, err)
			}
		}
		return manyJumps(ctx, st)
	})
}

func rulesFactor(n int) map[string]string {
	return map[string]string{results.Rules: strconv.Itoa(n)}
}

func plainRules(ctx context.Context, st *trial.Stage, ipt *goiptables.IPTables, n int) error {
	st.Step("plain rules: %d, one call each", n)
	if err := ipt.ClearChain("filter", plainChain); err != nil {
		return err
	}
	start := time.Now()
	over := false
	for i := 0; i < n && !over; i++ {
		if err := ipt.Append("filter", plainChain, "-s", trial.PlainSource(i), "-j", "ACCEPT"); err != nil {
			return err
		}
		over = time.Since(start) > st.Plan.Install
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if over {
		st.Censored(results.PlainInstall, rulesFactor(n), time.Since(start))
	} else {
		st.Record(results.PlainInstall, rulesFactor(n), time.Since(start).Seconds())
	}
	if err := ipt.ClearChain("filter", plainChain); err != nil {
		return err
	}
	st.Step("plain rules: %d, in one restore", n)
	cost, err := trial.RestoreFilter(ctx, func(w *bufio.Writer) {
		for i := range n {
			fmt.Fprintf(w, "-A %s -s %s -j ACCEPT\n", plainChain, trial.PlainSource(i))
		}
	}, trial.NoFlush)
	if err != nil {
		return err
	}
	st.Record(results.PlainRestore, rulesFactor(n), cost.Total().Seconds())
	return plainAppends(st, ipt, n)
}

// plainAppends times single rules on top of n.
func plainAppends(st *trial.Stage, ipt *goiptables.IPTables, n int) error {
	var took []float64
	for i := range appends {
		start := time.Now()
		if err := ipt.Append("filter", plainChain, "-s", trial.PlainSource(n+i), "-j", "ACCEPT"); err != nil {
			return err
		}
		took = append(took, time.Since(start).Seconds())
	}
	st.Record(results.PlainAppend, rulesFactor(n), took...)
	return ipt.ClearAndDeleteChain("filter", plainChain)
}

// chainsToJumpTo and jumpsToEach are those of the kernel commit that made the
// check of jump targets fast again (f4dc77713f80).
const chainsToJumpTo, jumpsToEach = 100001, 3

// manyJumps times a restore whose check of jump targets was once quadratic.
func manyJumps(ctx context.Context, st *trial.Stage) error {
	st.Step("%d jumps to %d chains, in one restore", chainsToJumpTo*jumpsToEach, chainsToJumpTo)
	inner, cancel := context.WithTimeout(ctx, 4*st.Plan.Install)
	defer cancel()
	start := time.Now()
	cost, err := trial.RestoreFilter(inner, func(w *bufio.Writer) {
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
		st.Censored(results.JumpRestore, rulesFactor(chainsToJumpTo*jumpsToEach), time.Since(start))
		return nil
	}
	if err != nil {
		return fmt.Errorf("restore jumps: %w", err)
	}
	st.Record(results.JumpRestore, rulesFactor(chainsToJumpTo*jumpsToEach), cost.Total().Seconds())
	return nil
}
