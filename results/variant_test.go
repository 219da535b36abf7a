package results

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestLabel(t *testing.T) {
	variants := []Variant{
		{Mode: "direct", Testbed: "uml", Family: "ipv6"},
		{Mode: "ipvs", Testbed: "uml", Family: "ipv6"},
		{Mode: "ipvs", Testbed: "uml", Family: "ipv6", "scheduler": "sh", "conntrack": "off"},
	}
	for i, want := range []string{"direct", "ipvs", "ipvs conntrack=off scheduler=sh"} {
		if got := variants[i].Label(variants); got != want {
			t.Errorf("label %q, want %q", got, want)
		}
	}
	if got := variants[2].Key(); got != "conntrack=off/family=ipv6/mode=ipvs/scheduler=sh/testbed=uml" {
		t.Errorf("key %q", got)
	}
	if got := Shared(variants); !maps.Equal(got, Variant{Testbed: "uml", Family: "ipv6"}) {
		t.Errorf("shared: %v", got)
	}
}

// TestFirstSchema: factors of the first format become variants without the defaults of
// that time, and the place in the trial.
func TestFirstSchema(t *testing.T) {
	for text, want := range map[string]Record{
		`{"metric":"m","factors":{"mode":"iptables","sync":"partial","backend":"legacy","services":"5","testbed":"uml","policies":"0","policy-packets":"all"},"values":[1]}`: {
			Variant: Variant{Mode: "iptables", Testbed: "uml"}, Factors: map[string]string{Services: "5"}},
		`{"metric":"m","factors":{"mode":"ipvs","tracking":"off","scheduler":"sh","bind":"address","forward":"dr","position":"last","vs.conntrack":"1","services":"5"},"values":[1]}`: {
			Variant: Variant{Mode: "ipvs", "conntrack": "off", "scheduler": "sh", "forward": "dr", "bind": "address"}, Factors: map[string]string{Position: "last", VSConntrack: "1", Services: "5"}},
		`{"metric":"m","factors":{"mode":"iptables-tree","fanout":"8","family":"dual","policies":"1000","policy-packets":"all","services":"5"},"values":[1]}`: {
			Variant: Variant{Mode: "iptables-tree", Family: "dual", Policies: "1000", Packets: "all"}, Factors: map[string]string{Services: "5"}},
		`{"metric":"m","factors":{"mode":"iptables-tree","fanout":"16","tracking":"on","run":"a","services":"5"},"values":[1]}`: {
			Variant: Variant{Mode: "iptables-tree", "fanout": "16", RunName: "a"}, Factors: map[string]string{Services: "5"}},
	} {
		run := &Run{}
		if err := run.read(strings.NewReader(`{"schema":"viplab/1"}` + "\n" + text + "\n")); err != nil || len(run.Records) != 1 {
			t.Fatalf("%s: %v", text, err)
		}
		want.Metric, want.Values = "m", []float64{1}
		if !reflect.DeepEqual(run.Records[0], want) {
			t.Errorf("%s: %+v", text, run.Records[0])
		}
	}
}

// TestSecondSchema: an unnamed binding of that time is an address, which is said now, and a
// route need not be.
func TestSecondSchema(t *testing.T) {
	text := `{"schema":"viplab/2"}
{"metric":"m","variant":{"mode":"ipvs"},"at":{"services":"5"},"values":[1]}
{"metric":"m","variant":{"mode":"ipvs","bind":"route"},"at":{"services":"5"},"values":[1]}
{"metric":"m","variant":{"mode":"ipvs","bind":"alias"},"at":{"services":"5"},"values":[1]}
{"metric":"m","variant":{"mode":"iptables"},"at":{"services":"5"},"values":[1]}
`
	run := &Run{Config: map[string]any{ConfigVariants: []any{map[string]any{Mode: "ipvs"}}}}
	if err := run.read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range run.Records {
		got = append(got, r.Variant.Key())
	}
	got = append(got, run.Variants()[0].Key())
	if want := []string{"bind=address/mode=ipvs", "mode=ipvs", "bind=alias/mode=ipvs", "mode=iptables", "bind=address/mode=ipvs"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestOldRun reads a run of the first format, as it was written then, and does not let
// it be gone on with.
func TestOldRun(t *testing.T) {
	const old = "testdata/viplab-1"
	run, err := Open(old)
	if err != nil {
		t.Fatal(err)
	}
	if run.Schema != FirstSchema || len(run.Warnings) > 0 || len(run.Records) < 500 || len(run.Finished()) != 12 {
		t.Errorf("schema %s, %d records, %d trials, warnings %v", run.Schema, len(run.Records), len(run.Finished()), run.Warnings)
	}
	keys := map[string]bool{}
	for _, r := range run.Records {
		if r.Variant.Mode() != "" {
			keys[r.Variant.Key()] = true
		}
	}
	if len(keys) != 3 || !keys["bind=address/endpoints=2/mode=ipvs/ports=1/testbed=uml"] {
		t.Errorf("variants: %v", keys)
	}
	if v := run.Variants(); len(v) != 5 || v[0].Mode() != "direct" || run.Baseline() != "direct" || run.Command() != nil {
		t.Errorf("configured: %v", v)
	}
	dir := t.TempDir()
	b, err := os.ReadFile(filepath.Join(old, SamplesFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, SamplesFile), b, 0o666); err != nil {
		t.Fatal(err)
	}
	var schema *SchemaError
	if _, err := Resume(dir); !errors.As(err, &schema) || schema.Schema != FirstSchema {
		t.Errorf("resumed: %v", err)
	}
}

// TestUnknownMetric: a record of a newer lab is kept, with a warning.
func TestUnknownMetric(t *testing.T) {
	dir := write(t, Record{Metric: "moon_phase", Trial: "t", Values: []float64{1}}, Record{Metric: "moon_phase", Trial: "t", Values: []float64{2}})
	run, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, w := range run.Warnings {
		if strings.Contains(w, "moon_phase is not known") {
			said++
		}
	}
	if len(run.Records) != 2 || said != 1 {
		t.Errorf("%d records, warnings %q", len(run.Records), run.Warnings)
	}
}

// TestConfig: what readers of records take from a run's configuration.
func TestConfig(t *testing.T) {
	dir := write(t, sample())
	config := "variants:\n  - {mode: direct}\n  - {mode: ipvs, fanout: 16}\nbaseline: nothing\ncommand: [viplab, bench, --seed, 1]\nlimits: [one, two]\n"
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	run, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if v := run.Variants(); len(v) != 2 || !maps.Equal(v[1], Variant{Mode: "ipvs", "fanout": "16"}) {
		t.Errorf("variants %v", v)
	}
	if run.Baseline() != "nothing" || !reflect.DeepEqual(run.Command(), []string{"viplab", "bench", "--seed", "1"}) || len(run.Limits()) != 2 {
		t.Errorf("%q %q %q", run.Baseline(), run.Command(), run.Limits())
	}
}
