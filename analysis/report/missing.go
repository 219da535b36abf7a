package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"viplab/analysis/summary"
	"viplab/results"
)

// place is a cell of the matrix that a run was asked for, of which it has so many trials.
type place struct {
	variant  results.Variant
	services int
	well     int
	failure  string // of the last trial that failed
}

// missing says of each run what was asked for and is not there, by name and with the reason;
// empty if all is there, or if a run does not say what was asked for.
func missing(run *results.Run) (out []string) {
	for _, part := range run.All() {
		lines := missingOf(part.Run)
		if part.Name != "" && len(lines) > 0 {
			lines[0] = part.Name + ": " + lines[0]
		}
		out = append(out, lines...)
	}
	return out
}

func missingOf(run *results.Run) []string {
	places, rounds := matrix(run)
	asked := len(places) * rounds
	well, failed := 0, 0
	for _, r := range run.Records {
		if r.Metric != results.Done || r.Round >= rounds {
			continue
		}
		switch p := placeOf(places, r); {
		case p == nil:
		case r.Err != "":
			failed++
			p.failure, _, _ = strings.Cut(r.Err, "\n")
		default:
			well++
			p.well++
		}
	}
	if well == asked {
		return nil
	}
	out := []string{fmt.Sprintf("Not all of it was measured. Asked for: %s, %s. Measured: %d; failed: %d; not run: %d%s.",
		extent(places, rounds), summary.Count(asked, "trial"), well, failed, asked-well-failed, because(run, asked-well-failed))}
	return append(out, lacks(places, rounds)...)
}

// matrix lists what a run was asked to measure, and in how many rounds; none if its
// configuration does not say.
func matrix(run *results.Run) (out []*place, rounds int) {
	rounds, _ = run.Config["repeat"].(int)
	sizes, _ := run.Config["services"].([]any)
	if run.Config[results.ConfigVariants] == nil || rounds < 1 {
		return nil, 0
	}
	for _, v := range run.Variants() {
		for _, size := range sizes {
			if n, ok := size.(int); ok {
				out = append(out, &place{variant: v, services: n})
			}
		}
	}
	return out, rounds
}

// placeOf is the place that a record is of a trial of, nil if there is none. Of an asked variant
// a key may be missing that only became known while the run went, and what has its default is in
// none: the place that says most about the record is its own.
func placeOf(places []*place, r results.Record) (of *place) {
	for _, p := range places {
		if r.Factors[results.Services] == strconv.Itoa(p.services) && r.Variant.Has(p.variant) && (of == nil || len(p.variant) > len(of.variant)) {
			of = p
		}
	}
	return of
}

// extent is the matrix in words.
func extent(places []*place, rounds int) string {
	var modes []string
	var variants, sizes []string
	for _, p := range places {
		for _, of := range []struct {
			list *[]string
			name string
		}{{&modes, p.variant.Mode()}, {&variants, p.variant.Key()}, {&sizes, strconv.Itoa(p.services)}} {
			if !slices.Contains(*of.list, of.name) {
				*of.list = append(*of.list, of.name)
			}
		}
	}
	text := fmt.Sprintf("%s (%s)", summary.Count(len(modes), "mode"), strings.Join(modes, ", "))
	if len(variants) > len(modes) {
		text += fmt.Sprintf(" in %d variants", len(variants))
	}
	return fmt.Sprintf("%s at %s (%s) in %s", text, summary.Count(len(sizes), "size"), strings.Join(sizes, ", "), summary.Count(rounds, "round"))
}

// because is why trials were not run.
func because(run *results.Run, left int) string {
	if left <= 0 {
		return ""
	}
	for _, r := range slices.Backward(run.Records) {
		if r.Metric == results.Ended {
			return ", because " + strings.TrimSuffix(r.Err, ".")
		}
	}
	return ", and nothing says why: the run was killed, or still goes on"
}

// lacks names what is missing, a line a variant.
func lacks(places []*place, rounds int) (out []string) {
	var variants []results.Variant
	for _, p := range places {
		if !slices.ContainsFunc(variants, func(v results.Variant) bool { return v.Key() == p.variant.Key() }) {
			variants = append(variants, p.variant)
		}
	}
	for _, v := range variants {
		var none, few, why []string
		for _, p := range places {
			if p.variant.Key() != v.Key() || p.well == rounds {
				continue
			}
			if p.well == 0 {
				none = append(none, strconv.Itoa(p.services))
			} else {
				few = append(few, fmt.Sprintf("at %d only %d of %s", p.services, p.well, summary.Count(rounds, "round")))
			}
			if p.failure != "" && !slices.Contains(why, p.failure) {
				why = append(why, p.failure)
			}
		}
		if len(none) > 0 {
			few = append([]string{"nothing at " + strings.Join(none, ", ") + " Services"}, few...)
		}
		if len(few) == 0 {
			continue
		}
		line := fmt.Sprintf("%s: %s", v.Label(variants), strings.Join(few, "; "))
		if len(why) > 0 {
			line += ". It failed: " + strings.Join(why, "; ")
		}
		out = append(out, line+".")
	}
	return out
}

// incomplete is what the page says of all that beside the answer: what is missing, and what
// was measured but set aside.
func incomplete(run *results.Run, s *summary.Summary) []string {
	out := missing(run)
	if n := len(s.SetAside); n > 0 {
		out = append(out, fmt.Sprintf("The samples of %s were set aside: %s.", summary.Count(n, "trial"), strings.Join(s.SetAside[:min(n, 5)], "; ")))
		if n > 5 {
			out[len(out)-1] += fmt.Sprintf(" The notes name the other %d.", n-5)
		}
	}
	return out
}
