package session

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sys/unix"

	"viplab/analysis/summary"
	"viplab/lab/play"
	"viplab/lab/trial"
	"viplab/modes/catalog"
)

// Progress shows how far a run is. Its methods are called in order by one
// goroutine at a time.
type Progress interface {
	Begin(trials []trial.Spec)
	Start(t trial.Spec)
	Step(text string)
	Finish(t trial.Spec, took time.Duration, failure string)
	End()
}

// Ways to show progress.
const (
	ProgressAuto  = "auto"
	ProgressPlain = "plain"
	ProgressNone  = "none"
)

// NewProgress makes a Progress that writes to w: a bar if it is a terminal,
// else a line a trial.
func NewProgress(how string, w io.Writer, terminal bool) (Progress, error) {
	switch how {
	case ProgressNone:
		return silent{}, nil
	case ProgressPlain:
		return &plain{w: w}, nil
	case ProgressAuto:
		if terminal {
			return &bar{w: w}, nil
		}
		return &plain{w: w}, nil
	}
	return nil, fmt.Errorf("unknown progress %q: valid are %s, %s, %s", how, ProgressAuto, ProgressPlain, ProgressNone)
}

type silent struct{}

func (silent) Begin([]trial.Spec)                       {}
func (silent) Start(trial.Spec)                         {}
func (silent) Step(string)                              {}
func (silent) Finish(trial.Spec, time.Duration, string) {}
func (silent) End()                                     {}

// estimate predicts the time left: a trial takes what the same mode and size took before,
// and before that how long its plan says that it waits, and a guess of the rest scaled by how
// wrong the guesses were.
type estimate struct {
	left           map[cell]int
	took           map[cell][]time.Duration
	waits          map[cell]time.Duration
	guesses        map[cell]time.Duration
	guessed, spent time.Duration // beside waiting
	done, total    int
}

// cell is what trials have in common that take about as long as each other.
type cell struct {
	variant  string
	services int
}

func (e *estimate) begin(trials []trial.Spec) {
	*e = estimate{left: map[cell]int{}, took: map[cell][]time.Duration{}, waits: map[cell]time.Duration{}, guesses: map[cell]time.Duration{}, total: len(trials)}
	for _, t := range trials {
		e.left[cellOf(t)]++
		e.waits[cellOf(t)], e.guesses[cellOf(t)] = waits(t.Plan), guess(t)
	}
}

func cellOf(t trial.Spec) cell { return cell{label(t), t.Synth.Services} }

// label names what a trial is of: the mode, and whatever sets it apart from other trials.
func label(t trial.Spec) string {
	words := []string{t.Mode}
	if len(t.Args) > 0 {
		words = append(words, t.Args.String())
	}
	if t.Synth.Family != "" {
		words = append(words, string(t.Synth.Family))
	}
	if t.PolicyPackets != "" {
		words = append(words, fmt.Sprintf("policies=%d", t.Policies))
	}
	if t.Kernel != "" {
		words = append(words, "kernel="+filepath.Base(t.Kernel))
	}
	return strings.Join(words, " ")
}

// guess is a rough cost of a trial beside its waiting: 3 s, 1 ms a Service, and what is known
// of its syncs.
func guess(t trial.Spec) time.Duration {
	return 3*time.Second + time.Duration(t.Synth.Services)*time.Millisecond + t.Syncs
}

// waits is how long a plan says that traffic is to run, whatever the mode: connections with
// their warm-up, iperf3 through two Services, and what a run asks for beside them.
func waits(p trial.Plan) time.Duration {
	sum := p.Connect*6/5 + 2*p.Iperf + p.Live
	if p.ChurnRate > 0 {
		sum += p.Churn
	}
	var script play.Script
	if !p.TimeTravel && len(p.Script) > 0 && json.Unmarshal(p.Script, &script) == nil {
		sum += script.Length()
	}
	return sum
}

func (e *estimate) finish(t trial.Spec, took time.Duration) {
	c := cellOf(t)
	e.left[c]--
	e.done++
	e.took[c] = append(e.took[c], took)
	e.guessed += guess(t)
	e.spent += max(took-e.waits[c], 0)
}

func (e *estimate) remaining() time.Duration {
	scale := 1.0
	if e.guessed > 0 {
		scale = float64(e.spent) / float64(e.guessed)
	}
	var sum time.Duration
	for c, n := range e.left {
		each := e.waits[c] + time.Duration(float64(e.guesses[c])*scale)
		if took := e.took[c]; len(took) > 0 {
			each = 0
			for _, d := range took {
				each += d / time.Duration(len(took))
			}
		}
		sum += each * time.Duration(n)
	}
	return sum.Round(time.Second)
}

// Takes is roughly how long a run of modes of a catalog lasts, by the same guess and with
// what its plain rules may take, in half minutes: at most until its MaxTime.
func (c Config) Takes(known catalog.Catalog) (time.Duration, error) {
	trials, err := c.Trials(known)
	if err != nil {
		return 0, err
	}
	var e estimate
	e.begin(trials)
	takes := max(e.remaining(), 30*time.Second) + time.Duration(c.Repeat*len(c.Plain))*c.Limit
	if c.MaxTime > 0 {
		takes = min(takes, c.MaxTime)
	}
	return takes.Round(30 * time.Second), nil
}

// plain writes one line for each trial.
type plain struct {
	w io.Writer
	estimate
}

func (p *plain) Begin(trials []trial.Spec) {
	p.begin(trials)
	fmt.Fprintf(p.w, "%s, about %s\n", summary.Count(p.total, "trial"), p.remaining())
}

func (p *plain) Start(trial.Spec) {}
func (p *plain) Step(string)      {}
func (p *plain) End()             {}

func (p *plain) Finish(t trial.Spec, took time.Duration, failure string) {
	p.finish(t, took)
	verdict := "ok"
	if failure != "" {
		verdict = "FAILED: " + failure
	}
	fmt.Fprintf(p.w, "[%d/%d, %s left] round %d: %s at %s, %.1fs: %s\n",
		p.done, p.total, p.remaining(), t.Round+1, label(t), summary.CountServices(t.Synth.Services), took.Seconds(), verdict)
}

// bar keeps one line up to date.
type bar struct {
	w io.Writer
	estimate
	bar   *progressbar.ProgressBar
	trial string
}

func (b *bar) Begin(trials []trial.Spec) {
	b.begin(trials)
	b.bar = progressbar.NewOptions(b.total,
		progressbar.OptionSetWriter(b.w), progressbar.OptionSetWidth(20), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	b.describe("starting")
}

func (b *bar) describe(step string) {
	text := []rune(fmt.Sprintf("%s left  %s: %s", b.remaining(), b.trial, step))
	// A line that is longer than the terminal is wide cannot be written over.
	if room := max(columns(b.w)-barRoom-2*len(strconv.Itoa(b.total)), 1); len(text) > room {
		text = append(text[:room-1], '…')
	}
	b.bar.Describe(string(text))
}

// barRoom is what a bar of no length takes beside its text and its two numbers:
// " 100% || (/) " and the cursor.
const barRoom = 14

// columns is how wide a terminal is, 80 where it does not say.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return 80
}

func (b *bar) Start(t trial.Spec) {
	b.trial = fmt.Sprintf("%s, %s, round %d", label(t), summary.CountServices(t.Synth.Services), t.Round+1)
	b.describe("starting")
}

func (b *bar) Step(text string) { b.describe(text) }

func (b *bar) Finish(t trial.Spec, took time.Duration, failure string) {
	b.finish(t, took)
	_ = b.bar.Add(1)
	if failure != "" {
		_ = b.bar.Clear()
		fmt.Fprintf(b.w, "FAILED: %s at %s, round %d: %s\n", label(t), summary.CountServices(t.Synth.Services), t.Round+1, failure)
	}
}

func (b *bar) End() { _ = b.bar.Finish() }
