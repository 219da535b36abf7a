package report

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"viplab/modes/catalog"
	"viplab/results"
)

// written is report.md of a run.
func written(t *testing.T, run *results.Run) string {
	t.Helper()
	if _, err := Write(run, catalog.All()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(run.Dir, results.ReportMD))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// cell makes a record of eight samples.
func cell(metric string, v results.Variant, at map[string]string, value float64) results.Record {
	r := results.Record{Metric: metric, Variant: v, Factors: at}
	for i := range 8 {
		r.Values = append(r.Values, value*(1+float64(i)/1000))
	}
	return r
}

// TestOldRun: a run of the first format becomes a report like any other.
func TestOldRun(t *testing.T) {
	run, err := results.Open("../../results/testdata/viplab-1")
	if err != nil {
		t.Fatal(err)
	}
	run.Dir = t.TempDir()
	md := written(t, run)
	for _, want := range []string{
		"modes direct, iptables, ipvs bind=address at 1, 1000 Services of 2 endpoints", "| median [95 % interval] | direct | iptables | ipvs bind=address |", "| full sync, ms | - | ",
		"programming one Service more: **too few samples for intervals, so nothing can be told apart**; ipvs bind=address has 2.47 ms (n=4); iptables has 194 ms (n=4)", "viplab bench --config " + filepath.Join(run.Dir, results.ConfigFile) + "   # the command was not recorded", "first_packet_seconds (from=node",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("report.md lacks %q", want)
		}
	}
	if strings.Contains(md, "All of them with") || strings.Contains(md, "sync=partial") || strings.Contains(md, "several values") {
		t.Error("a default of that time is mentioned, or cells collide")
	}
}

// TestNothingLost: each of many variants has its column, and what no table or plot has
// room for is named.
func TestNothingLost(t *testing.T) {
	size := map[string]string{results.Services: "1000"}
	with := func(k, v string) map[string]string { return map[string]string{results.Services: "1000", k: v} }
	run := &results.Run{Dir: t.TempDir()}
	var labels []string
	for _, scheduler := range []string{"lc", "sh", "wrr"} {
		for _, conntrack := range []string{"", "off", "maybe"} {
			v := results.Variant{results.Mode: "ipvs", "scheduler": scheduler, results.Family: "ipv6"}
			label := "ipvs scheduler=" + scheduler
			if conntrack != "" {
				v["conntrack"] = conntrack
				label = "ipvs conntrack=" + conntrack + " scheduler=" + scheduler
			}
			labels = append(labels, label)
			run.Records = append(run.Records, cell(results.SyncFull, v, size, float64(len(labels))), cell("moon_phase", v, size, 0.5))
		}
	}
	mode := results.Variant{results.Mode: "quantum", results.Family: "ipv6"}
	run.Records = append(run.Records,
		cell(results.SyncFull, mode, size, 0.1),
		cell(results.KernelMemory, mode, with("node", "a"), 1), cell(results.KernelMemory, mode, with("node", "b"), 2),
		cell(results.ReuseRate, mode, with(results.ReuseMode, "1"), 100),
	)
	run.Config = map[string]any{results.ConfigModes: []any{"quantum", "ipvs"}}
	md := written(t, run)
	slices.Sort(labels)
	for _, want := range append(labels,
		"| median [95 % interval] | quantum |", "All of them with family=ipv6.", "**quantum takes least, 100",
		"kernel_memory_bytes: several values where a table or plot has room for one, so it shows none; they differ in node (a, b)",
		"shown in no table or plot: moon_phase, kernel_memory_bytes, reuse_connections_per_second.",
	) {
		if !strings.Contains(md, want) {
			t.Errorf("report.md lacks %q", want)
		}
	}
	for line := range strings.Lines(md) {
		if strings.HasPrefix(line, "| full sync") && strings.Contains(line, "| - |") {
			t.Errorf("a variant has lost its full sync: %s", line)
		}
	}
}

// TestAgain: the command that made the run stands in the report so that a shell reads
// it as it was.
func TestAgain(t *testing.T) {
	words := []string{"./viplab", "bench", "--config", "it's.yaml", "", "$HOME", "--services", "1,1000", "*", "100%\n'\\x"}
	run := &results.Run{Dir: "runs/x", Config: map[string]any{}}
	var list []any
	for _, w := range words {
		list = append(list, w)
	}
	run.Config[results.ConfigCommand] = list
	list = append(list, "--out=x", "--out", "a b") // which is no longer empty
	run.Config[results.ConfigCommand] = list
	lines := again(run)
	if len(lines) != 2 || strings.Contains(lines[0], "\n") || !strings.HasPrefix(lines[1], "./viplab report runs/x ") {
		t.Errorf("%q", lines)
	}
	out, err := exec.Command("sh", "-c", "printf '%s\\n' "+lines[0]).Output()
	if err != nil || string(out) != strings.Join(words, "\n")+"\n" {
		t.Errorf("a shell reads %q, %v", out, err)
	}
	for _, from := range [][]any{{"--from", "-"}, {"--from=-"}} {
		run.Config[results.ConfigCommand] = append([]any{"viplab", "bench"}, from...)
		if lines := again(run); !strings.HasPrefix(lines[0], "viplab bench --config runs/x/config.yaml ") {
			t.Errorf("%v: %q", from, lines)
		}
	}
}

// TestCombine: each run has series of its own, in the order of both, and the report says
// how it was made.
func TestCombine(t *testing.T) {
	var runs []*results.Run
	for _, mode := range []string{"new", "old"} {
		run := &results.Run{Dir: "runs/" + mode, Config: map[string]any{results.ConfigModes: []any{"direct", mode}, results.ConfigCommand: []any{"viplab", "bench"}}}
		for _, m := range []string{mode, "direct"} {
			run.Records = append(run.Records, cell(results.FirstCorrect, results.Variant{results.Mode: m}, map[string]string{results.Services: "5", results.Change: "service-add"}, 1))
		}
		runs = append(runs, run)
	}
	both, err := Combine(runs, t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	md := written(t, both)
	for _, want := range []string{"| direct run=new | direct run=old | new run=new | old run=old |", "    viplab report --out " + both.Dir + " runs/new runs/old\n"} {
		if !strings.Contains(md, want) {
			t.Errorf("report.md lacks %q", want)
		}
	}
	if strings.Contains(md, "viplab bench") {
		t.Error("the command of one of the runs stands for both")
	}
}

// TestLimits: a run's own limits take the place of those that are known of old runs.
func TestLimits(t *testing.T) {
	run, err := results.Open(fill(t, 8))
	if err != nil {
		t.Fatal(err)
	}
	run.Config = map[string]any{results.ConfigLimits: []any{"the moon was full"}}
	if md := written(t, run); !strings.Contains(md, "- the moon was full\n") || strings.Contains(md, "did not write down") {
		t.Error("the run's own limits are not in its report")
	}
}

// TestManySeries: a dozen modes that nobody knows are drawn and told apart.
func TestManySeries(t *testing.T) {
	run := &results.Run{Dir: t.TempDir()}
	for i := range 12 {
		v := results.Variant{results.Mode: fmt.Sprintf("mode%02d", i)}
		for _, n := range []string{"1", "1000"} {
			run.Records = append(run.Records, cell(results.SyncFull, v, map[string]string{results.Services: n}, float64(i+1)))
		}
	}
	written(t, run)
	svg, err := os.ReadFile(filepath.Join(run.Dir, results.PlotsDir, "sync-full.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		if !strings.Contains(string(svg), fmt.Sprintf("mode%02d</text>", i)) {
			t.Errorf("mode%02d has no place in the legend", i)
		}
	}
}
