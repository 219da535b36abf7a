package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"viplab/lab/kernel"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
)

// place is a testbed, with the kernel that its guest has, and what it was found to lack.
type place struct {
	testbed.Testbed
	// kernel names the guest's, as `viplab kernel list` does; empty where there is none.
	kernel string
	lacks  []*trial.Lack
	err    error // it cannot be used at all
}

// String is the place for people.
func (p place) String() string {
	if p.kernel == "" || p.kernel == kernel.Debian {
		return p.Name()
	}
	return p.Name() + " with kernel " + p.kernel
}

// ask finds out which variants a place lacks.
func (p *place) ask(ctx context.Context, asked []trial.Variant) {
	if p.err != nil {
		return
	}
	p.lacks, p.err = Capabilities(ctx, p.Testbed, asked)
}

// guests lists the guest with each kernel of those names: [KernelAuto] is all built ones,
// the newest first, and then the packaged one. A built one that is damaged cannot be used,
// which is said where a place is chosen.
func guests(ctx context.Context, names []string) (out []place, err error) {
	if !slices.Equal(names, []string{KernelAuto}) {
		for _, name := range names {
			k, err := kernel.Find(ctx, name)
			if err != nil {
				return nil, err
			}
			out = append(out, place{Testbed: testbed.WithKernel(k), kernel: name})
		}
		return out, nil
	}
	built, err := kernel.List()
	if err != nil {
		built = nil // an unusable cache holds no kernel
	}
	for _, k := range built {
		out = append(out, place{Testbed: testbed.WithKernel(k), kernel: k.Name, err: k.Whole()})
	}
	return append(out, place{Testbed: &testbed.UML{}, kernel: kernel.Debian}), nil
}

// allowed lists the guests that the configuration allows, with as many processors as it asks for at most.
func (s *Session) allowed(ctx context.Context) ([]place, error) {
	all, err := guests(ctx, s.Kernels)
	for i := range all {
		if guest, ok := all[i].Testbed.(*testbed.UML); ok {
			guest.TimeTravel, guest.CPUs = s.TimeTravel, slices.Max(s.CPUs)
		}
	}
	return all, err
}

// candidates lists the places that the configuration allows, the best first.
func (s *Session) candidates(ctx context.Context) ([]place, error) {
	switch s.Testbed {
	case testbed.UMLName:
		return s.allowed(ctx)
	case testbed.Auto:
		all, err := s.allowed(ctx)
		if !s.TimeTravel && s.oneCPU() && slices.Equal(s.Kernels, []string{KernelAuto}) {
			all = append([]place{{Testbed: testbed.Native{}}}, all...)
		}
		return all, err
	}
	tb, err := testbed.Find(s.Testbed)
	return []place{{Testbed: tb}}, err
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

// lack is the first thing that a mode misses, which does not name the mode.
func (p place) lack(asked []trial.Variant, mode string) error {
	for i, l := range p.lacks {
		if l != nil && asked[i].Mode == mode {
			return l.Err()
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
		return fmt.Errorf("mode %s: %w", names[0], p.lack(asked, names[0]))
	}
	return nil
}

// onlyFailed tells whether what cannot run there is nothing but modes that failed as they were
// tried, which no other place need mend.
func (p place) onlyFailed() bool {
	return p.err == nil && !slices.ContainsFunc(p.lacks, func(l *trial.Lack) bool { return l != nil && !l.Failed() })
}

// choose picks the places where trials run: one, or the guest with each of several
// kernels. Where none or one kernel was named it is the first place that can run all
// variants, and where modes may be left out, else the one that lacks the fewest, and else one
// where nothing is missing for those that fail. why says how it was picked.
func (s *Session) choose(ctx context.Context) (at []place, why string, err error) {
	asked, err := s.Asked(s.Modes)
	if err != nil {
		return nil, "", err
	}
	all, err := s.candidates(ctx)
	if err != nil {
		return nil, "", err
	}
	if len(s.Kernels) > 1 {
		for i := range all {
			if all[i].ask(ctx, asked); all[i].fault(asked) != nil {
				if err := s.accept(ctx, all[i], asked); err != nil {
					return nil, "", fmt.Errorf("%s: %w", all[i], err)
				}
				if asked, err = s.Asked(s.Modes); err != nil {
					return nil, "", err
				}
			}
		}
		return all, fmt.Sprintf("kernels %s were asked for", strings.Join(s.Kernels, ", ")), nil
	}
	var passed []string
	for i := range all {
		p := &all[i]
		p.ask(ctx, asked)
		fault := p.fault(asked)
		if fault == nil {
			return all[i : i+1], strings.Join(append(passed, p.String()+" can run all modes asked for"), "; "), nil
		}
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		passed = append(passed, fmt.Sprintf("not %s: %v", p, firstLine(fault.Error())))
	}
	best := s.fewestMissing(all, asked)
	if i := slices.IndexFunc(all, place.onlyFailed); best == nil && i >= 0 {
		best = &all[i]
	}
	if best == nil && len(all) == 1 {
		best = &all[0]
	}
	if best == nil {
		var errs []error
		for _, p := range all {
			errs = append(errs, fmt.Errorf("%s: %w", p, p.fault(asked)))
		}
		return nil, "", errors.Join(errs...)
	}
	return []place{*best}, best.String() + " can run the most modes", s.accept(ctx, *best, asked)
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
// error that names a testbed which has it; a mode that failed as it was tried stays.
func (s *Session) accept(ctx context.Context, p place, asked []trial.Variant) error {
	fault := p.fault(asked)
	if fault == nil || p.err != nil {
		return fault
	}
	if !s.AllModes && (s.OnMissing == OnMissingFail || s.OnMissing == "") {
		if p.onlyFailed() {
			return nil // their trials will, and the others are measured
		}
		return s.elsewhere(ctx, p, asked, fault)
	}
	instead, err := s.fallbacks(ctx, p, asked)
	if err != nil {
		return err
	}
	for _, name := range p.missing(asked) {
		at := slices.Index(s.Config.Modes, name)
		s.Config.Modes = slices.Delete(slices.Clone(s.Config.Modes), at, at+1)
		note := fmt.Sprintf("mode %s was left out: %v", name, p.lack(asked, name))
		if other := instead[name]; other != "" {
			note = fmt.Sprintf("mode %s took the place of %s: %v", other, name, p.lack(asked, name))
			if !slices.Contains(s.Config.Modes, other) {
				s.Config.Modes = slices.Insert(s.Config.Modes, at, other)
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

// fallbacks lists by name of a missing mode what takes its place, of what can run there.
func (s *Session) fallbacks(ctx context.Context, p place, asked []trial.Variant) (map[string]string, error) {
	instead := map[string]string{}
	if s.OnMissing != OnMissingFallback {
		return instead, nil
	}
	missing := p.missing(asked)
	for _, name := range missing {
		m, err := s.Modes.Find(name)
		if err != nil || m.Fallback == "" || slices.Contains(missing, m.Fallback) {
			continue
		}
		if !slices.Contains(s.Config.Modes, m.Fallback) { // it was not asked about
			c := s.Config
			c.Modes = []string{m.Fallback}
			more, err := c.Asked(s.Modes)
			if err != nil {
				return nil, err
			}
			there := place{Testbed: p.Testbed, kernel: p.kernel}
			if there.ask(ctx, more); there.err != nil {
				return nil, there.err
			}
			if there.fault(more) != nil {
				continue
			}
		}
		instead[name] = m.Fallback
	}
	return instead, nil
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
		other := place{Testbed: tb}
		if tb.Name() == p.Name() {
			continue
		}
		if other.ask(ctx, asked); other.fault(asked) == nil {
			return fmt.Errorf("%w; or use --testbed %s", fault, tb.Name())
		}
	}
	return fault
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
