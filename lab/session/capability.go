package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"viplab/lab/roles"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
)

// Capabilities asks a testbed which variants of modes can run in it: the answers are in
// the order of the question, nil for those that can. The error is the testbed's own: a
// [modes.MissingError] if it cannot be used at all.
func Capabilities(ctx context.Context, tb testbed.Testbed, asked []trial.Variant) ([]*trial.Lack, error) {
	if err := tb.Probe(ctx); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	question, err := json.Marshal(asked)
	if err != nil {
		return nil, fmt.Errorf("ask testbed %s: %w", tb.Name(), err)
	}
	var out, errs bytes.Buffer
	code, err := tb.Run(ctx, testbed.Command{Args: []string{self, roles.Capabilities}, Stdin: question, Stdout: &out, Stderr: &errs})
	if err != nil {
		return nil, fmt.Errorf("ask testbed %s: %w", tb.Name(), err)
	}
	if code != 0 {
		return nil, fmt.Errorf("ask testbed %s: %s", tb.Name(), strings.TrimSpace(errs.String()))
	}
	var lacks []*trial.Lack
	if err := json.Unmarshal(out.Bytes(), &lacks); err != nil || len(lacks) != len(asked) {
		return nil, fmt.Errorf("ask testbed %s: no answer in %q", tb.Name(), out.String())
	}
	return lacks, nil
}

// place is a testbed that was asked, with what it lacks.
type place struct {
	testbed.Testbed
	lacks []*trial.Lack
	err   error // it cannot be used at all
}

// ask asks a testbed about variants.
func ask(ctx context.Context, tb testbed.Testbed, asked []trial.Variant) place {
	p := place{Testbed: tb}
	p.lacks, p.err = Capabilities(ctx, tb, asked)
	return p
}

// missing lists the names of the modes of which a variant cannot run.
func (p place) missing(asked []trial.Variant) (names []string) {
	for i, l := range p.lacks {
		if l != nil && !slices.Contains(names, asked[i].Mode) {
			names = append(names, asked[i].Mode)
		}
	}
	return names
}

// lack is the first thing that a mode misses.
func (p place) lack(asked []trial.Variant, mode string) error {
	for i, l := range p.lacks {
		if l != nil && asked[i].Mode == mode {
			return fmt.Errorf("mode %s: %w", mode, l.Err())
		}
	}
	return p.err
}

// fault is why not all variants can run there, nil if they can.
func (p place) fault(asked []trial.Variant) error {
	if p.err != nil {
		return p.err
	}
	if names := p.missing(asked); len(names) > 0 {
		return p.lack(asked, names[0])
	}
	return nil
}

// choose picks the testbed: the named one, or with auto the first that can run
// all variants. Where modes may be left out, auto takes the one that lacks the fewest.
// why says how it was picked.
func (s *Session) choose(ctx context.Context) (tb testbed.Testbed, why string, err error) {
	asked, err := s.Asked(s.Modes)
	if err != nil {
		return nil, "", err
	}
	if s.Testbed != testbed.Auto {
		if tb, err = testbed.Find(s.Testbed); err != nil {
			return nil, "", err
		}
		here := ask(ctx, tb, asked)
		return tb, tb.Name() + " was asked for", s.accept(ctx, here, asked)
	}
	var places []place
	var passed []string
	for _, tb := range testbed.All() {
		here := ask(ctx, tb, asked)
		fault := here.fault(asked)
		if fault == nil {
			return tb, strings.Join(append(passed, tb.Name()+" can run all modes asked for"), "; "), nil
		}
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		places = append(places, here)
		passed = append(passed, fmt.Sprintf("not %s: %v", tb.Name(), firstLine(fault.Error())))
	}
	best := s.fewestMissing(places, asked)
	if best == nil {
		var errs []error
		for _, p := range places {
			errs = append(errs, fmt.Errorf("%s: %w", p.Name(), p.fault(asked)))
		}
		return nil, "", errors.Join(errs...)
	}
	return best.Testbed, best.Name() + " can run the most modes", s.accept(ctx, *best, asked)
}

// fewestMissing is the testbed that lacks the fewest modes, nil if none may be left out
// or none can be used.
func (s *Session) fewestMissing(places []place, asked []trial.Variant) (best *place) {
	if !s.AllModes {
		return nil
	}
	for i, p := range places {
		if p.err == nil && (best == nil || len(p.missing(asked)) < len(best.missing(asked))) {
			best = &places[i]
		}
	}
	return best
}

// accept takes what a testbed lacks out of the configuration, or puts in its place what
// kube-proxy took, as far as the configuration allows, and notes it. Else it is an
// error that names a testbed which has it.
func (s *Session) accept(ctx context.Context, p place, asked []trial.Variant) error {
	fault := p.fault(asked)
	if fault == nil || p.err != nil {
		return fault
	}
	if !s.AllModes && (s.OnMissing == OnMissingFail || s.OnMissing == "") {
		return s.elsewhere(ctx, p, asked, fault)
	}
	for _, name := range p.missing(asked) {
		at := slices.Index(s.Config.Modes, name)
		s.Config.Modes = slices.Delete(slices.Clone(s.Config.Modes), at, at+1)
		note := fmt.Sprintf("mode %s was left out: %v", name, p.lack(asked, name))
		if m, err := s.Modes.Find(name); err == nil && s.OnMissing == OnMissingFallback && m.Fallback != "" {
			note = fmt.Sprintf("mode %s took the place of %s: %v", m.Fallback, name, p.lack(asked, name))
			if !slices.Contains(s.Config.Modes, m.Fallback) {
				s.Config.Modes = slices.Insert(s.Config.Modes, at, m.Fallback)
			}
		}
		s.Notes = append(s.Notes, note)
	}
	if len(s.Config.Modes) == 0 {
		return fmt.Errorf("no mode is left: %w", fault)
	}
	s.dropParams()
	return nil
}

// dropParams forgets values of parameters that no mode has which is left.
func (s *Session) dropParams() {
	left := slices.DeleteFunc(slices.Clone(s.Modes), func(m modes.Mode) bool { return !slices.Contains(s.Config.Modes, m.Name) })
	for name := range s.Params {
		if len(left.With(name)) == 0 {
			delete(s.Params, name)
		}
	}
}

// elsewhere adds to a fault which other testbed does not have it.
func (s *Session) elsewhere(ctx context.Context, p place, asked []trial.Variant, fault error) error {
	for _, tb := range testbed.All() {
		if tb.Name() != p.Name() && ask(ctx, tb, asked).fault(asked) == nil {
			return fmt.Errorf("%w; or use --testbed %s", fault, tb.Name())
		}
	}
	return fault
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
