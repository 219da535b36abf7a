package results

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestMetricsDefined: every metric is defined in the docs, and no two share a name or a
// name in bench.txt.
func TestMetricsDefined(t *testing.T) {
	docs, err := os.ReadFile("../docs/definitions.md")
	if err != nil {
		t.Fatal(err)
	}
	seen, bench := map[string]bool{}, map[string]bool{}
	for _, m := range Metrics() {
		if !strings.Contains(string(docs), "`"+m.Name+"`") {
			t.Errorf("%s is not defined in docs/definitions.md", m.Name)
		}
		if seen[m.Name] || bench[m.Bench] || m.Bench == "" || m.Meaning == "" {
			t.Errorf("%+v: a name twice, or a text missing", m)
		}
		seen[m.Name], bench[m.Bench] = true, true
		if m.Unit == None && m.Better != Neither {
			t.Errorf("%s has a better direction, but no unit", m.Name)
		}
	}
}

// TestMetricsComplete: every name of a metric in the source has its row in the table,
// with the unit that the name ends in.
func TestMetricsComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "record.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil || !strings.Contains(name, "_") || name == ReuseMode || name == Expire {
			return true
		}
		n++
		m, ok := FindMetric(name)
		if !ok {
			t.Errorf("%s (%s) is in no row of the table", spec.Names[0], name)
		}
		for suffix, unit := range map[string]Unit{
			"_seconds": Seconds, "_bytes": Bytes, "_bits_per_second": BitsPerSecond, "connections_per_second": ConnectionsPerSecond,
			"_seconds_per_connection": SecondsPerConnection, "_seconds_per_gigabit": SecondsPerGigabit, "_share": Share,
		} {
			if strings.HasSuffix(name, suffix) && m.Unit != unit {
				t.Errorf("%s has the unit %q", name, m.Unit)
			}
		}
		return true
	})
	if n < 30 {
		t.Errorf("only %d names were looked at", n)
	}
}

// TestDirections: more connections are better, whatever the metric is called, and a
// metric that is not known has neither unit nor direction.
func TestDirections(t *testing.T) {
	for name, want := range map[string]Direction{ReuseRate: More, ConnectionsRate: More, Throughput: More, GigabitCPU: Less, Objects: Neither} {
		if m, ok := FindMetric(name); !ok || m.Better != want {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if m, ok := FindMetric("moon_phase_seconds"); ok || m.Better != Neither || m.Unit != None || m.Bench != "MoonPhaseSeconds" {
		t.Errorf("a foreign metric: %+v", m)
	}
	if s := Seconds.For(0.002); s.Name != "ms" || s.Scale != 1e-3 {
		t.Errorf("2 ms are shown in %+v", s)
	}
	if unit := SecondsPerGigabit.Bench(); unit != "sec/op" {
		t.Errorf("CPU time of a gigabit is in %s", unit)
	}
}
