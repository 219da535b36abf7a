// Package report turns a run's records into what people read: summary.json,
// bench.txt, plots, report.md and a self-contained report.html.
//
// [Write] makes them all. What stands in the tables is listed in rows, what is drawn in
// [plots.Questions], what the answer ranks in questions; whatever a run holds beside
// that is named at the end of the report, so that nothing is lost in silence.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

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
	files, err := records(run, sum)
	if err != nil {
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
	drawn, err := page.draw(drawings, sim, followed)
	if err != nil {
		return nil, err
	}
	page.Notes = append(page.Notes, residue(followed)...)
	html, err := page.html()
	if err != nil {
		return nil, err
	}
	files = append(append(files, drawn...), results.File{Name: results.ReportMD, Content: page.markdown()}, results.File{Name: results.ReportHTML, Content: html})
	return sum, results.WriteFiles(run.Dir, files...)
}

// records are the summary, and the samples for benchstat.
func records(run *results.Run, sum *summary.Summary) ([]results.File, error) {
	b, err := json.MarshalIndent(sum, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", results.SummaryFile, err)
	}
	var bench bytes.Buffer
	if err := sum.WriteBench(&bench, run.Env); err != nil {
		return nil, err
	}
	return []results.File{{Name: results.SummaryFile, Content: append(b, '\n')}, {Name: results.BenchFile, Content: bench.Bytes()}}, nil
}

// mainPictures names the pictures of the first screen: one each for changes, first packets
// and bulk data.
func mainPictures() []string { return []string{"sync-delta", "first-packet", "throughput"} }

// draw draws all pictures, onto the page and as files, several at once: a run that is
// interrupted has a second to make its report.
func (p *page) draw(drawings []plots.Drawing, sim simulated, s *summary.Summary) ([]results.File, error) {
	var labels []string
	for _, one := range p.Series {
		labels = append(labels, one.Label)
	}
	odd := oddities(s, s.Series())
	pictures, files := make([]picture, len(drawings)), make([][]results.File, len(drawings))
	var all errgroup.Group
	all.SetLimit(runtime.NumCPU())
	for i, pic := range drawings {
		pic = sim.extend(pic, s)
		all.Go(func() (err error) {
			if files[i], err = drawFiles(pic); err != nil {
				return err
			}
			sheet, err := plots.OnSheet(pic, labels)
			name, title := pic.Head()
			sheet.Notes = append(sheet.Notes, odd[name]...)
			pictures[i] = picture{Title: title, Name: name, Main: slices.Contains(mainPictures(), name), Sheet: sheet}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	p.Pictures = append(p.Pictures, pictures...)
	slices.SortStableFunc(p.Pictures, func(a, b picture) int { return a.rank() - b.rank() })
	return slices.Concat(files...), nil
}

// rank puts the pictures of the first screen before the others.
func (p picture) rank() int {
	if p.Main {
		return 0
	}
	return 1
}

// drawFiles is a picture as SVG, PNG and CSV.
func drawFiles(pic plots.Drawing) ([]results.File, error) {
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
	name, _ := pic.Head()
	name = filepath.Join(results.PlotsDir, name)
	return []results.File{{Name: name + ".svg", Content: svg}, {Name: name + ".png", Content: png}, {Name: name + ".csv", Content: csv}}, nil
}

// residue says what the report could not show, and what it does not.
func residue(s *summary.Summary) []string {
	out := s.Ambiguous()
	if left := s.Unshown(); len(left) > 0 {
		out = append(out, "Measured, but shown in no table or plot: "+strings.Join(left, ", ")+". "+results.SamplesFile+" has it all.")
	}
	return out
}
