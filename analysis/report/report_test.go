package report

import (
	"encoding/xml"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/analysis/summary"
	"viplab/modes/catalog"
	"viplab/results"
)

// fill writes a run with known figures: ipvs is ten times faster than iptables.
func fill(t *testing.T, samples int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	w, err := results.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, m := range []struct {
		mode string
		cost float64
	}{{"direct", 1}, {"iptables", 10}, {"ipvs", 1}} {
		for _, n := range []string{"1", "1000"} {
			add := func(metric string, scale float64, more ...string) {
				v := results.Variant{results.Mode: m.mode, results.Endpoints: "2", results.Testbed: "uml"}
				f := map[string]string{results.Services: n}
				for i := 0; i < len(more); i += 2 {
					f[more[i]] = more[i+1]
				}
				r := results.Record{Metric: metric, Variant: v, Factors: f, Trial: m.mode + n}
				for range samples {
					r.Values = append(r.Values, scale*m.cost*(1+0.01*rng.Float64()))
				}
				if err := w.Add(r); err != nil {
					t.Fatal(err)
				}
			}
			if m.mode != "direct" {
				add(results.SyncFull, 0.1)
				add(results.SyncDelta, 0.01, results.Change, "service-add")
				add(results.KernelMemory, 1e6)
			}
			add(results.FirstPacket, 1e-5, results.Position, "last", results.Protocol, "tcp", results.From, "client")
			add(results.Throughput, 1e9, results.Position, "last")
			add(results.ConnectionsRate, 1000, results.Position, "random")
		}
	}
	if err := w.Add(results.Record{Metric: results.Done, Trial: "x", Err: "<b>broke</b>"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWrite(t *testing.T) {
	dir := fill(t, 8)
	run, err := results.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(run, catalog.All()); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	md := read(results.ReportMD)
	for _, want := range []string{
		"At 1000 Services, programming one Service more: **ipvs takes least, 10.0", "iptables is behind by 90", "## 1000 Services", "| full sync, ms |", "plots/sync-delta.svg",
		"did not write down what its testbed distorts", "The iptables modes edit single rules", "the environment is not known",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("report.md lacks %q", want)
		}
	}
	html := read(results.ReportHTML)
	if strings.Contains(html, "<b>broke") || !strings.Contains(html, "&lt;b&gt;broke") {
		t.Error("an error message is not escaped")
	}
	for _, bad := range []string{"http://", "https://", "src=", "@import"} {
		for line := range strings.Lines(html) {
			if strings.Contains(line, bad) && !strings.Contains(line, "www.w3.org") {
				t.Errorf("the report is not self-contained: %.80s", line)
			}
		}
	}
	if n := strings.Count(html, "<svg"); n != 11 {
		t.Errorf("%d panels of pictures, want 11", n)
	}
	for _, name := range []string{"sync-delta", "first-packet", "throughput"} {
		d := xml.NewDecoder(strings.NewReader(read("plots/" + name + ".svg")))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if png := read("plots/" + name + ".png"); !strings.HasPrefix(png, "\x89PNG") {
			t.Errorf("%s.png is none", name)
		}
	}
}

// TestGrade: what strays between rounds of the baseline decides.
func TestGrade(t *testing.T) {
	for want, rounds := range map[string][]float64{
		"Grade of the run: A": {1, 1.01, 1.02}, "Grade of the run: B": {1, 1.1, 1.0}, "Grade of the run: C": {1, 1.0, 2}, "Grade of the run: none": {1},
	} {
		var records []results.Record
		for i, v := range rounds {
			records = append(records, results.Record{Metric: results.FirstPacket, Round: i, Values: []float64{v}, Variant: results.Variant{results.Mode: "direct"}, Factors: map[string]string{
				results.Services: "5", results.Position: "first", results.Protocol: "tcp", results.From: "client"}})
		}
		s, err := summary.Make(records)
		if err != nil {
			t.Fatal(err)
		}
		if got := grade(&results.Run{}, s); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %s", rounds, got)
		}
	}
}

// TestFewSamples: what the data do not carry is not said.
func TestFewSamples(t *testing.T) {
	run, err := results.Open(fill(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(run, catalog.All()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(run.Dir, results.ReportMD))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "too few samples for intervals") || !strings.Contains(string(b), "(n=2)") || !strings.Contains(string(b), "need >= 6 samples") {
		t.Error("the report does not say that there are too few samples")
	}
}

func TestEmptyRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w, err := results.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	run, err := results.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(run, catalog.All()); err == nil || !strings.Contains(err.Error(), "no measurement") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, results.ReportHTML)); err == nil {
		t.Error("a report of nothing was written")
	}
}

// TestFromTheNode: figures of a mode that serves the node alone stand in rows and panels of
// their own, and of what a client elsewhere gets the mode has none.
func TestFromTheNode(t *testing.T) {
	run := &results.Run{Dir: t.TempDir(), Config: map[string]any{}}
	at := map[string]string{results.Services: "5", results.Position: "last"}
	for _, metric := range []string{results.ConnectionsRate, results.ConnectionCPU, results.Throughput,
		results.LiveLatency, results.LiveStall, results.LiveLost, results.Evenness, results.FirstCorrect} {
		at := at
		if metric == results.FirstCorrect {
			at = summary.With(at, results.Change, "service-add")
		}
		run.Records = append(run.Records, cell(metric, results.Variant{results.Mode: "ebpf"}, at, 100),
			cell(metric, results.Variant{results.Mode: "ebpf", "attach": "socket"}, summary.With(at, results.From, "node"), 100))
	}
	md := written(t, run)
	for _, label := range []string{"new connections", "CPU a connection", "iperf3, last Service", "latency beside full syncs",
		"longest time without an answer", "lost requests", "busiest endpoint over the mean", "first right answer of an added Service"} {
		rows := 0
		for line := range strings.Lines(md) {
			if strings.HasPrefix(line, "| "+label) {
				if rows++; !strings.Contains(line, "| - |") {
					t.Errorf("both stand in one row: %s", line)
				}
			}
		}
		if rows != 2 {
			t.Errorf("%d rows of %s, want one of each place", rows, label)
		}
	}
}
