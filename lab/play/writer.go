package play

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/montanaflynn/stats"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// The steps of a second writer of iptables beside the mode.
func writerSteps() []step {
	return []step{
		{name: "lock", usage: "DURATION", help: "somebody else holds the lock of iptables",
			parse: func(s *Step, args []string) (err error) { s.For, err = duration(args[0]); return err },
			do:    func(p *player, s Step) error { return p.lock(s.For) }},
		{name: "append", usage: "N wait|nowait|brief", help: "a second writer adds N rules to a chain of its own, with -w, without, or with -w 1", parse: parseAppend,
			do: func(p *player, s Step) error { return p.appendRules(s.N, s.Value) }},
		{name: "overlap", usage: "N", help: "N times it restores what it read before somebody else added a rule", parse: count,
			do: func(p *player, s Step) error { return p.overlap(s.N) }},
	}
}

func parseAppend(s *Step, args []string) (err error) {
	if s.N, err = number(args[0], 1, 100); err == nil && !slices.Contains([]string{"wait", "nowait", "brief"}, args[1]) {
		err = fmt.Errorf("a writer goes to wait, nowait or brief for the lock, not %q", args[1])
	}
	s.Value = args[1]
	return err
}

// A second writer of iptables and its chain, to which nothing jumps.
const (
	writerTool  = "iptables-legacy"
	writerChain = "VIPLAB-WRITER"
)

// lock holds the lock of iptables for a while, from another process, but not beyond the
// script's end.
func (p *player) lock(d time.Duration) error {
	return p.Net.Node.Do(func() error {
		h := holder{cmd: exec.Command("flock", "/run/xtables.lock", "sh", "-c", fmt.Sprintf("echo held; sleep %g", d.Seconds()))}
		h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := h.cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := h.cmd.Start(); err != nil {
			return fmt.Errorf("hold the lock: %w", err)
		}
		h.out = bufio.NewReader(out)
		p.holders = append(p.holders, h)
		if _, err = h.out.ReadString('\n'); err != nil {
			return fmt.Errorf("hold the lock: %w", err)
		}
		return nil
	})
}

// holder is a process that holds the lock of iptables, with those that it started.
type holder struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

// stop ends all of them. Nobody has waited for the first one, so that the number of the
// group is theirs even if they have ended.
func (h holder) stop() {
	_ = unix.Kill(-h.cmd.Process.Pid, unix.SIGKILL)
	_, _ = io.Copy(io.Discard, h.out) // until the last one is gone, which has the lock too
	_ = h.cmd.Wait()
}

// stopHolders gives the lock free: what is programmed and taken away after the script would
// wait for it, and be refused.
func (p *player) stopHolders() {
	for _, h := range p.holders {
		h.stop()
	}
}

// iptables runs the tool in the node.
func (p *player) iptables(stdin modes.Input, tool string, args ...string) (out []byte, err error) {
	err = p.Net.Node.Do(func() error {
		out, _, err = (modes.Exec{}).Run(context.WithoutCancel(p.ctx), stdin, tool, args...)
		return err
	})
	return out, err
}

// writersChain makes the second writer's chain, before the lock may be held for longer than
// that would wait for it.
func (p *player) writersChain() error {
	_, err := p.iptables(nil, writerTool, "-w", "10", "-N", writerChain)
	return err
}

// writerRule is the i-th rule of the second writer, which no packet of the lab meets.
func writerRule(i int) []string {
	return []string{"-A", writerChain, "-d", fmt.Sprintf("198.18.0.%d/32", i+1), "-j", "RETURN"}
}

// appendRules lets a second writer add rules one by one, with some patience for the lock, and
// counts how often it is refused.
func (p *player) appendRules(n int, patience string) error {
	refused, said := 0, ""
	var took []float64
	for i := range n {
		args := append(map[string][]string{"wait": {"-w", "10"}, "brief": {"-w", "1"}}[patience], writerRule(i)...)
		start := time.Now()
		_, err := p.iptables(nil, writerTool, args...)
		took = append(took, time.Since(start).Seconds())
		if err != nil {
			refused++
			said = err.Error()
		}
	}
	p.phase(p.currentPhase(), "refused", float64(refused)/float64(n))
	if v, err := stats.Median(took); err == nil {
		p.phase(p.currentPhase(), "writer", v)
	}
	if said != "" {
		p.write(fmt.Sprintf("# phase %s", p.currentPhase()), said)
	}
	return nil
}

// overlap lets one writer read the table, another add a rule, and the first restore what
// it read: each call has the lock while it runs, and the rule is lost all the same.
func (p *player) overlap(n int) error {
	lost := 0
	for i := range n {
		before, err := p.iptables(nil, writerTool+"-save", "-t", "filter")
		if err == nil {
			_, err = p.iptables(nil, writerTool, append([]string{"-w", "10"}, writerRule(100+i)...)...)
		}
		if err == nil {
			_, err = p.iptables(modes.Text(string(before)), writerTool+"-restore", "-w", "10", "-T", "filter")
		}
		if err != nil {
			return err
		}
		after, err := p.iptables(nil, writerTool+"-save", "-t", "filter")
		if err != nil {
			return err
		}
		if !strings.Contains(string(after), strings.Join(writerRule(100 + i)[:4], " ")) {
			lost++
		}
	}
	p.phase(p.currentPhase(), "lost", float64(lost)/float64(n))
	return nil
}
