// Package report turns a run's records into what people read: summary.json,
// bench.txt, plots, report.md and a self-contained report.html.
package report

import (
	"bytes"
	"fmt"
	"path/filepath"

	"viplab/analysis/plots"
	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

// Write makes all derived files of a run directory anew from its records, and
// returns the summary. Modes that are known are also simulated beyond what was
// measured.
func Write(run *results.Run, known []modes.Mode) (*summary.Summary, error) {
	sum, err := summary.Make(run.Records)
	if err != nil {
		return nil, err
	}
	if len(sum.Cells) == 0 {
		return nil, fmt.Errorf("%s holds no measurement to report", run.Dir)
	}
	if err := results.WriteJSON(run.Dir, results.SummaryFile, sum); err != nil {
		return nil, err
	}
	var bench bytes.Buffer
	if err := sum.WriteBench(&bench, run.Env); err != nil {
		return nil, err
	}
	if err := results.WriteFile(run.Dir, results.BenchFile, bench.Bytes()); err != nil {
		return nil, err
	}
	page := compose(run, sum)
	sim := simulation(known, run, sum)
	if sim.check != nil {
		page.Tables = append(page.Tables, *sim.check)
		page.Notes = append(page.Notes, sim.sentence)
	}
	drawings := plots.Questions(sum)
	theirs, err := besidePublished(sum)
	if err != nil {
		return nil, err
	}
	if measured(theirs) {
		drawings = append(drawings, theirs)
	}
	for _, pic := range drawings {
		pic = sim.extend(pic, sum)
		name, title := pic.Head()
		svg, err := plots.SVG(pic)
		if err != nil {
			return nil, err
		}
		png, err := plots.PNG(pic)
		if err != nil {
			return nil, err
		}
		csv, err := pic.CSV()
		if err != nil {
			return nil, err
		}
		for ext, b := range map[string][]byte{".svg": svg, ".png": png, ".csv": csv} {
			if err := results.WriteFile(run.Dir, filepath.Join(results.PlotsDir, name+ext), b); err != nil {
				return nil, err
			}
		}
		page.Pictures = append(page.Pictures, picture{Title: title, Name: name, SVG: svg})
	}
	if err := results.WriteFile(run.Dir, results.ReportMD, page.markdown()); err != nil {
		return nil, err
	}
	html, err := page.html()
	if err != nil {
		return nil, err
	}
	return sum, results.WriteFile(run.Dir, results.ReportHTML, html)
}
