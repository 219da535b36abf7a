package session

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
)

// lacking is a testbed in which some modes cannot run.
type lacking []string

func (lacking) Name() string { return testbed.NativeName }

func (lacking) Probe(context.Context) error { return nil }

func (l lacking) Run(_ context.Context, c testbed.Command) (int, error) {
	var asked []trial.Variant
	if err := json.Unmarshal(c.Stdin, &asked); err != nil {
		return 1, err
	}
	lacks := make([]*trial.Lack, len(asked))
	for i, v := range asked {
		if slices.Contains(l, v.Mode) {
			lacks[i] = &trial.Lack{Need: "what " + v.Mode + " needs"}
		}
		if slices.Contains(l, "failed "+v.Mode) {
			lacks[i] = &trial.Lack{Why: "it died"}
		}
	}
	return 0, json.NewEncoder(c.Stdout).Encode(lacks)
}

// TestFallback: what takes the place of a mode can itself run there.
func TestFallback(t *testing.T) {
	for _, c := range []struct {
		asked, lacks, left []string
		notes              int
	}{
		{[]string{"direct", "ipvs"}, []string{"ipvs"}, []string{"direct", "iptables"}, 1},
		{[]string{"ipvs", "iptables"}, []string{"ipvs"}, []string{"iptables"}, 1},
		{[]string{"direct", "ipvs"}, []string{"ipvs", "iptables"}, []string{"direct"}, 1},
		{[]string{"iptables", "ipvs"}, []string{"ipvs", "iptables"}, nil, 2},
		{[]string{"ipvs", "iptables"}, []string{"ipvs", "iptables"}, nil, 2},
		{[]string{"ipvs"}, []string{"ipvs", "iptables"}, nil, 1},
	} {
		s := &Session{Config: Default(catalog.All()), Modes: catalog.All()}
		s.Config.Modes, s.OnMissing = c.asked, OnMissingFallback
		asked, err := s.Asked(s.Modes)
		if err != nil {
			t.Fatal(err)
		}
		p := place{Testbed: lacking(c.lacks)}
		p.ask(t.Context(), asked)
		err = s.accept(t.Context(), p, asked)
		if len(c.left) == 0 != modes.IsMissing(err) || len(c.left) > 0 && err != nil {
			t.Errorf("%v without %v: %v", c.asked, c.lacks, err)
		}
		if !slices.Equal(s.Config.Modes, c.left) || len(s.Notes) != c.notes {
			t.Errorf("%v without %v: %v is left, with notes %q", c.asked, c.lacks, s.Config.Modes, s.Notes)
		}
		for _, name := range c.lacks {
			if slices.ContainsFunc(s.Notes, func(n string) bool { return strings.HasPrefix(n, "mode "+name+" took the place") }) {
				t.Errorf("%v without %v: %q", c.asked, c.lacks, s.Notes)
			}
		}
	}
}

// TestFailedStays: a mode that failed as it was tried keeps none of the others from being
// measured: its own trials will fail, or it is left out where that was asked for.
func TestFailedStays(t *testing.T) {
	for _, c := range []struct {
		lacks     lacking
		onMissing string
		left      []string
		err       string
	}{
		{lacking{"failed ipvs"}, OnMissingFail, []string{"direct", "ipvs", "nftables"}, ""},
		{lacking{"failed ipvs"}, OnMissingSkip, []string{"direct", "nftables"}, ""},
		{lacking{"failed ipvs", "nftables"}, OnMissingSkip, []string{"direct"}, ""},
		{lacking{"failed direct", "failed ipvs", "failed nftables"}, OnMissingSkip, nil, "no mode is left: mode direct: cannot run: it died"},
	} {
		s := &Session{Config: Default(catalog.All()), Modes: catalog.All()}
		s.Config.Modes, s.OnMissing = []string{"direct", "ipvs", "nftables"}, c.onMissing
		asked, err := s.Asked(s.Modes)
		if err != nil {
			t.Fatal(err)
		}
		p := place{Testbed: c.lacks}
		p.ask(t.Context(), asked)
		err = s.accept(t.Context(), p, asked)
		if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err || modes.IsMissing(err)) {
			t.Errorf("%v, %s: %v", c.lacks, c.onMissing, err)
		}
		if !slices.Equal(s.Config.Modes, c.left) {
			t.Errorf("%v, %s: %v is left", c.lacks, c.onMissing, s.Config.Modes)
		}
	}
}
