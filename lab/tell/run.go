package tell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"viplab/lab/testbed"
	"viplab/lab/topo"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/packet/story"
	"viplab/modes/pipe"
	"viplab/modes/snapshot/synth"
)

// Job is what to tell in a testbed.
type Job struct {
	Variants []trial.Variant `json:"variants"`
	Texts    []story.Text    `json:"texts"`
	// ProxyCommand starts the userspace proxy there.
	ProxyCommand []string `json:"proxy_command"`
	// Testbed is the name of the place.
	Testbed string `json:"testbed"`
}

// Result is one story in one mode, or a whole book where Story is empty.
type Result struct {
	Mode  string `json:"mode"`
	Book  string `json:"book"`
	Story string `json:"story,omitempty"`
	// Wrong is what is not as told, empty if all is.
	Wrong string `json:"wrong,omitempty"`
	// Untold is why the book was not told, empty if it was.
	Untold string `json:"untold,omitempty"`
}

// Trace tells books with the tracer, in modes with arguments of those that have such
// parameters.
func Trace(known catalog.Catalog, variants []trial.Variant, books []story.Book) (out []Result, err error) {
	hosts := func(f modes.Family) story.Hosts {
		return story.Hosts{Client: topo.Of(f).Client.Addr(), Node: topo.Of(f).Node.Addr()}
	}
	for _, v := range variants {
		mode, err := known.Find(v.Mode)
		if err != nil {
			return nil, err
		}
		for _, b := range books {
			err := mode.Limits.CheckAll(mode.Name, b.Snapshot)
			if err == nil {
				err = mode.CheckServices(v.Args, b.Snapshot.Services...)
			}
			var told []story.Outcome
			if err == nil {
				b.Snapshot.Node.Addrs = topo.NodeAddrs()
				told, err = b.Trace(mode, v.Args, hosts)
			}
			if why := untold(err); why != "" {
				out = append(out, Result{Mode: mode.Name, Book: b.Name, Untold: why})
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, o := range told {
				out = append(out, Result{Mode: mode.Name, Book: b.Name, Story: o.Title, Wrong: o.Wrong})
			}
		}
	}
	return out, nil
}

// untold is why a mode has nothing to tell of a book, empty where the error is no such reason.
func untold(err error) string {
	var unsupported *modes.UnsupportedError
	var no *modes.NoPlanError
	switch {
	case errors.As(err, &unsupported):
		return unsupported.Error()
	case errors.As(err, &no):
		return no.Error()
	}
	return ""
}

// In tells books with real packets in a testbed, by a process of the given role.
func In(ctx context.Context, tb testbed.Testbed, role string, job Job) ([]Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	job.ProxyCommand, job.Testbed = []string{self, testbed.RoleProxy}, tb.Name()
	input, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("encode stories: %w", err)
	}
	var stdout, stderr bytes.Buffer
	code, err := tb.Run(ctx, testbed.Command{Args: []string{self, role}, Stdin: input, Stdout: &stdout, Stderr: &stderr, Env: testbed.CallerEnv(),
		RealRoot: slices.ContainsFunc(job.Variants, func(v trial.Variant) bool { return v.RealRoot })})
	if err != nil {
		return nil, err
	}
	if code != 0 {
		return nil, fmt.Errorf("tell stories in testbed %s: %s", tb.Name(), strings.TrimSpace(stderr.String()))
	}
	var out []Result
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		return nil, fmt.Errorf("tell stories in testbed %s: no answer in %q", tb.Name(), stdout.String())
	}
	return out, nil
}

// Run tells the books of a job here, mode by mode.
func Run(ctx context.Context, known catalog.Catalog, job Job) (out []Result, err error) {
	var books []story.Book
	for _, t := range job.Texts {
		b, err := t.Read()
		if err != nil {
			return nil, err
		}
		books = append(books, b)
	}
	for _, v := range job.Variants {
		told, err := job.in(ctx, known, v, books)
		if err != nil {
			if named := (*pipe.HelperError)(nil); errors.As(err, &named) {
				return nil, err
			}
			return nil, fmt.Errorf("mode %s: %w", v.Mode, err)
		}
		out = append(out, told...)
	}
	return out, nil
}

// in tells the books in one mode.
func (j Job) in(ctx context.Context, known catalog.Catalog, v trial.Variant, books []story.Book) (out []Result, err error) {
	spec := trial.Spec{ID: "story", Mode: v.Mode, Args: v.Args, Testbed: j.Testbed,
		Synth: synth.Spec{Services: 1, Endpoints: 1, Ports: 1, Seed: 1, Family: FamilyOf(books)}}
	st, err := trial.NewStage(known, spec, j.ProxyCommand, trial.NewEmitter(io.Discard))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.TearDown()) }()
	if err := st.SetUp(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(st.Net.LetPodsDial(), st.Net.LiftICMPLimit()); err != nil {
		return nil, err
	}
	t := New(st)
	for _, b := range books {
		told, err := t.Book(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name, err)
		}
		out = append(out, told...)
	}
	return out, nil
}

// FamilyOf is the families that books need.
func FamilyOf(books []story.Book) modes.Family {
	for _, b := range books {
		if slices.ContainsFunc(b.Stories, func(s story.Story) bool { return s.Flow.Dst.Addr().Is6() }) ||
			slices.ContainsFunc(b.Snapshot.Services, func(svc *modes.Service) bool { return svc.Family() == modes.IPv6 }) {
			return modes.Dual
		}
	}
	return modes.IPv4
}

// Book tells one book.
func (t *Teller) Book(ctx context.Context, b story.Book) ([]Result, error) {
	whole := Result{Mode: t.Mode, Book: b.Name}
	var unsupported *modes.UnsupportedError
	switch _, err := t.Sync(ctx, b.Snapshot); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &unsupported):
		whole.Untold = err.Error()
		return []Result{whole}, nil
	case err != nil:
		whole.Wrong = err.Error()
		return []Result{whole}, nil
	}
	stop, err := t.Serve(b.Snapshot)
	if modes.IsMissing(err) {
		whole.Untold = err.Error()
		return []Result{whole}, nil
	}
	if err != nil {
		return nil, err
	}
	defer stop()
	var out []Result
	had := map[string]netip.Addr{}
	for _, s := range b.Stories {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out = append(out, Result{Mode: t.Mode, Book: b.Name, Story: s.Title, Wrong: t.Tell(s, s.In(t.About.InStories()), had)})
	}
	return out, nil
}
