// Package report turns a run's records into what people read: summary.json,
// bench.txt, plots, report.md and a self-contained report.html.
//
// [Write] makes them all. What stands in the tables is listed in rows, what is drawn in
// [plots.Questions], what the answer ranks in questions; whatever a run holds beside
// that is named at the end of the report, so that nothing is lost in silence.
package report

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"viplab/analysis/plots"
	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

// Write makes all derived files of a run directory anew from its records, and
// returns the summary. Modes that are known are also simulated beyond what was
// measured.
func Write(run *results.Run, known []modes.Mode) (*summary.Summary, error) {
	sum, err := summary.Of(run)
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
	followed := sum.Follow()
	page := compose(run, known, followed)
	sim := simulation(known, run, sum)
	if sim.check != nil {
		page.Tables = append(page.Tables, *sim.check)
		page.Notes = append(page.Notes, sim.sentence)
	}
	drawings := plots.Questions(followed)
	theirs, err := besidePublished(followed)
	if err != nil {
		return nil, err
	}
	if measured(theirs) {
		drawings = append(drawings, theirs)
	}
	if err := page.draw(run.Dir, drawings, sim, followed); err != nil {
		return nil, err
	}
	page.Notes = append(page.Notes, residue(followed)...)
	if err := results.WriteFile(run.Dir, results.ReportMD, page.markdown()); err != nil {
		return nil, err
	}
	html, err := page.html()
	if err != nil {
		return nil, err
	}
	return sum, results.WriteFile(run.Dir, results.ReportHTML, html)
}

// mainPictures names the pictures of the first screen: one each for changes, first packets
// and bulk data.
func mainPictures() []string { return []string{"sync-delta", "first-packet", "throughput"} }

// draw draws all pictures, into files and onto the page.
func (p *page) draw(dir string, drawings []plots.Drawing, sim simulated, s *summary.Summary) error {
	var labels []string
	for _, one := range p.Series {
		labels = append(labels, one.Label)
	}
	odd := oddities(s, s.Series())
	for _, pic := range drawings {
		pic = sim.extend(pic, s)
		if err := drawFiles(dir, pic); err != nil {
			return err
		}
		sheet, err := plots.OnSheet(pic, labels)
		if err != nil {
			return err
		}
		name, title := pic.Head()
		sheet.Notes = append(sheet.Notes, odd[name]...)
		p.Pictures = append(p.Pictures, picture{Title: title, Name: name, Main: slices.Contains(mainPictures(), name), Sheet: sheet})
	}
	slices.SortStableFunc(p.Pictures, func(a, b picture) int { return a.rank() - b.rank() })
	return nil
}

// rank puts the pictures of the first screen before the others.
func (p picture) rank() int {
	if p.Main {
		return 0
	}
	return 1
}

// drawFiles writes a picture as SVG, PNG and CSV.
func drawFiles(dir string, pic plots.Drawing) error {
	svg, err := plots.SVG(pic)
	if err != nil {
		return err
	}
	png, err := plots.PNG(pic)
	if err != nil {
		return err
	}
	csv, err := pic.CSV()
	if err != nil {
		return err
	}
	name, _ := pic.Head()
	for ext, b := range map[string][]byte{".svg": svg, ".png": png, ".csv": csv} {
		if err := results.WriteFile(dir, filepath.Join(results.PlotsDir, name+ext), b); err != nil {
			return err
		}
	}
	return nil
}

// residue says what the report could not show, and what it does not.
func residue(s *summary.Summary) []string {
	out := s.Ambiguous()
	if left := s.Unshown(); len(left) > 0 {
		out = append(out, "Measured, but shown in no table or plot: "+strings.Join(left, ", ")+". "+results.SamplesFile+" has it all.")
	}
	return out
}
