package pipe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"viplab/modes"
	"viplab/modes/clock"
	"viplab/modes/packet/node"
)

// Deadlines are until when a program must have answered. A zero has its default.
type Deadlines struct {
	// Hello is for its start, Sync for a sync, and as much for taking in what is told before
	// it, Close for removing everything, and End for ending once its input has ended.
	Hello, Sync, Close, End time.Duration
}

// The deadlines that hold if others are not given. The real kube-proxy takes minutes to
// program some tens of thousands of Services by nft.
const (
	helloWithin = 30 * time.Second
	syncWithin  = 20 * time.Minute
	closeWithin = 5 * time.Minute
	endWithin   = 5 * time.Second
)

// Options say which program is a mode, and how it is spoken to.
type Options struct {
	// Mode is the name of the mode, for sentences.
	Mode string
	// Command starts the program, by its whole path or its name in the user's PATH; Env is
	// added to the lab's environment.
	Command, Env []string
	// Args are told to the program.
	Args modes.Args
	// Family is the one that the program serves.
	Family modes.Family
	// Limits are the abilities that the program lacks.
	Limits modes.Limits
	// Check says what this kernel or machine lacks for the program; may be nil.
	Check func(ctx context.Context) error
	// Untidy is set for a program that programs something as soon as it starts, which is
	// to be undone after a probe as well.
	Untidy bool
	// Show is a command whose output is what the kernel holds; may be empty.
	Show []string
	// Deadlines are those of its answers.
	Deadlines Deadlines
}

// Proxier is a program as a [modes.Proxier].
type Proxier struct {
	Options
	process *process
	current modes.Snapshot // that the program was told of
	node    string         // its settings, as they were told in hello
	due     bool           // a sync is due although nothing changed
	dirty   bool           // something may be programmed
	lastID  int
}

// New makes a Proxier. It starts nothing yet.
func New(o Options) *Proxier {
	d := &o.Deadlines
	for _, one := range []struct {
		at      *time.Duration
		without time.Duration
	}{{&d.Hello, helloWithin}, {&d.Sync, syncWithin}, {&d.Close, closeWithin}, {&d.End, endWithin}} {
		if *one.at == 0 {
			*one.at = one.without
		}
	}
	return &Proxier{Options: o}
}

var _ modes.ProcessReporter = (*Proxier)(nil)

// Probe implements [modes.Proxier]: it starts the program, which must say hello.
func (p *Proxier) Probe(ctx context.Context) error {
	if p.Check != nil {
		if err := p.Check(ctx); err != nil {
			return err
		}
	}
	err := p.greet(ctx, modes.Snapshot{})
	p.dirty = p.Untidy && err == nil
	return errors.Join(err, p.Close())
}

// ProcessIDs implements [modes.ProcessReporter].
func (p *Proxier) ProcessIDs() []int {
	if p.process == nil {
		return nil
	}
	return []int{p.process.cmd.Process.Pid}
}

// Sync implements [modes.Proxier]. Its Commit is the program's own time; what starting
// and telling it took is [modes.Cost]'s Apart, also where it failed: of a sync that was cut
// off, Commit is how long the program had been at it, 0 if it was not asked yet.
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (cost modes.Cost, err error) {
	begin := clock.Now()
	defer func() { cost.Apart = clock.Since(begin) - cost.Commit }()
	if err := p.Limits.CheckAll(p.Mode, s); err != nil {
		return cost, err
	}
	if p.process != nil && settings(s, p.Family) != p.node {
		// Settings are told at the start: as on a node, another process takes over.
		if err := p.end("end for other settings of the node"); err != nil {
			return cost, err
		}
	}
	if p.process == nil {
		if err := p.greet(ctx, s); err != nil {
			return cost, err
		}
	}
	changes := modes.Diff(p.current, s)
	if len(changes) == 0 && !p.due {
		return cost, nil
	}
	p.dirty, p.due = true, true
	told, err := p.tell(ctx, changes)
	if err != nil {
		return cost, p.failed(ctx, "tell changes", err)
	}
	p.current = s
	// The deadline is the sync's alone: telling has had one of its own.
	defer p.process.limit(ctx, p.Deadlines.Sync)()
	tools, committing := watchTools(p.process.cmd.Process.Pid), clock.Now()
	reply, err := p.ask(SyncNow, Programmed)
	wall, whole, peak := clock.Since(committing), clock.Since(begin), tools()
	if err != nil {
		cost.Commit = wall
		return cost, p.failed(ctx, "sync", err)
	}
	p.due = false
	cost = modes.Cost{Commit: wall, Rules: max(0, reply.Rules), Objects: max(0, reply.Objects), ToolCalls: max(0, reply.ToolCalls),
		Bytes: max(0, reply.Bytes), ToolCPU: reply.cpu(whole), ToolPeakRSS: max(reply.ToolPeakRSS, peak)}
	if reply.Seconds > 0 && reply.Seconds < wall.Seconds() {
		cost.Commit = seconds(reply.Seconds)
	}
	if cost.Objects == 0 {
		cost.Objects = told
	}
	return cost, nil
}

// settings is what of the node a running program cannot be told anew. It sees by itself
// which addresses come and go.
func settings(s modes.Snapshot, f modes.Family) string {
	n := *nodeOf(s, f)
	n.Addresses = nil
	return fmt.Sprint(n)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// greet starts the program and waits for its hello.
func (p *Proxier) greet(ctx context.Context, s modes.Snapshot) error {
	// By which address the node is known decides whether a balancer's source ranges have it.
	if len(s.Node.Addrs) == 0 {
		var err error
		if s.Node.Addrs, err = node.Addresses(p.Family); err != nil {
			return fmt.Errorf("start mode %s: %w", p.Mode, err)
		}
	}
	proc, err := start(p.Command, p.Env)
	if modes.IsMissing(err) {
		return fmt.Errorf("start mode %s: %w", p.Mode, err)
	}
	if err != nil {
		return &HelperError{Mode: p.Mode, Program: strings.Join(p.Command, " "), Doing: "start", Err: fmt.Errorf("%w: %w", ErrDied, err)}
	}
	self := nodeOf(s, p.Family)
	p.process, p.node, p.current, p.due = proc, settings(s, p.Family), modes.Snapshot{}, true
	defer proc.limit(ctx, p.Deadlines.Hello)()
	err = proc.write(Request{Do: Hello, Protocol: Protocol, Family: p.Family, Args: p.Args, Node: self})
	if err == nil {
		err = proc.flush()
	}
	var r Reply
	if err == nil {
		r, err = proc.read(Greeted, 0)
	}
	if err == nil && r.Protocol != Protocol {
		err = fmt.Errorf("%w: it speaks protocol %d, not %d", ErrNonsense, r.Protocol, Protocol)
	}
	if err != nil {
		err = p.failed(ctx, "start", err)
		return errors.Join(err, p.end("")) // one that only refused is there still
	}
	return nil
}

// tell writes what changed, and counts the objects.
func (p *Proxier) tell(ctx context.Context, changes []modes.Change) (told int, err error) {
	defer p.process.limit(ctx, p.Deadlines.Sync)()
	for _, c := range changes {
		list, err := requests(c)
		if err != nil {
			return told, err
		}
		for _, r := range list {
			if err := p.process.write(r); err != nil {
				return told, err
			}
			told++
		}
	}
	return told, p.process.flush()
}

// ask sends a request and waits for its answer.
func (p *Proxier) ask(do, did string) (Reply, error) {
	p.lastID++
	err := p.process.write(Request{Do: do, ID: p.lastID})
	if err == nil {
		err = p.process.flush()
	}
	if err != nil {
		return Reply{}, err
	}
	return p.process.read(did, p.lastID)
}

// failed says what went wrong, and ends a program that did not report it itself.
func (p *Proxier) failed(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err() // the lab's own limit, not the program's
	}
	e := &HelperError{Mode: p.Mode, Program: strings.Join(p.Command, " "), Doing: doing, Err: err}
	if errors.Is(err, ErrRefused) {
		return e
	}
	proc := p.process
	p.process = nil
	within := time.Duration(0)
	if errors.Is(err, ErrDied) {
		within = p.Deadlines.End // it may still be about to say why
	}
	if how := proc.end(within); errors.Is(err, ErrDied) && how != nil {
		e.Err = fmt.Errorf("%w: %w", err, how)
	}
	e.Said = strings.TrimSpace(proc.stderr.text)
	return e
}

// end ends the program, if there is one.
func (p *Proxier) end(doing string) error {
	if p.process == nil {
		return nil
	}
	proc := p.process
	p.process = nil
	if err := proc.end(p.Deadlines.End); err != nil && doing != "" {
		return &HelperError{Mode: p.Mode, Program: strings.Join(p.Command, " "), Doing: doing, Err: err, Said: strings.TrimSpace(proc.stderr.text)}
	}
	return nil
}

// Dump implements [modes.Proxier].
func (p *Proxier) Dump(ctx context.Context) (string, error) {
	if len(p.Show) == 0 {
		return "", nil
	}
	out, _, err := modes.Exec{}.Run(ctx, nil, p.Show[0], p.Show[1:]...)
	return string(out), err
}

// Close implements [modes.Proxier]. If it fails, another Close tries again.
func (p *Proxier) Close() error {
	var err error
	if p.dirty {
		ran, last := p.process != nil, p.current
		if err = p.clear(last); ran && errors.Is(err, ErrDied) {
			err = p.clear(last) // it may have ended long since; another one removes what it left
		}
		p.dirty = err != nil
	}
	err = errors.Join(err, p.end("end"))
	p.current, p.due = modes.Snapshot{}, false
	return err
}

// clear asks the program to remove what is programmed, another one if none runs: with the
// node's settings of the last Snapshot.
func (p *Proxier) clear(last modes.Snapshot) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.Deadlines.Close+p.Deadlines.Hello)
	defer cancel()
	if p.process == nil {
		if err := p.greet(ctx, last); err != nil {
			return err
		}
	}
	defer p.process.limit(ctx, p.Deadlines.Close)()
	if _, err := p.ask(CloseAll, Closed); err != nil {
		return p.failed(ctx, "close", err)
	}
	return nil
}

// Leave implements [modes.Leaver]: it ends the program, and leaves what that has programmed.
func (p *Proxier) Leave() error { return p.end("end") }
