package plots

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"regexp"
	"slices"
	"strings"
)

// Sheet is a drawing for a page: a picture for each panel, narrow enough for a telephone,
// whose colours are variables of the page's style, so that they follow its mode, and whose
// series are classes, so that they can be switched off.
type Sheet struct {
	// Panels are SVG documents. In each the marks of series i are of class s<i> and of
	// colour var(--s<i>), i being the place of the series' label among those given; parts
	// of bars are var(--part<i>); paper, ink and grid are var(--paper), var(--ink) and
	// var(--grid).
	Panels [][]byte
	// Notes say what is drawn beside lines.
	Notes []string
}

// seriesKey, bandKey and partKey are colours that stand for the variables of a [Sheet]: nothing is
// drawn in them otherwise.
func seriesKey(key int) color.RGBA { return color.RGBA{1, 0, uint8(key), 255} }
func partKey(i int) color.RGBA     { return color.RGBA{2, 0, uint8(i), 255} }
func bandKey(key int) color.RGBA   { return color.RGBA{3, 0, uint8(key), 255} }

// OnSheet renders a drawing for a page whose series have these labels.
func OnSheet(d Drawing, labels []string) (Sheet, error) {
	var out Sheet
	parts := []Drawing{d}
	switch d := d.(type) {
	case Picture:
		parts, out.Notes = d.panels(labels), append(d.notes(), d.others()...)
	case Stack:
		d.keyed = true
		parts = []Drawing{d}
	}
	for _, part := range parts {
		svg, err := SVG(part)
		if err != nil {
			return out, err
		}
		out.Panels = append(out.Panels, onPage(svg, part))
	}
	return out, nil
}

// others names the series that are no series of the page.
func (p Picture) others() []string {
	var names []string
	for _, panel := range p.Panels {
		for _, s := range panel.Series {
			if (s.Source == Published || s.Source == Memory) && len(s.Points) > 0 && !slices.Contains(names, s.Label) {
				names = append(names, s.Label)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{"They are of " + strings.Join(names, "; ") + "."}
}

// panels are the picture's panels as pictures of their own, which share their axes.
func (p Picture) panels(labels []string) []Drawing {
	var out []Drawing
	if p.LogY {
		p = p.clip()
	}
	bounds := p.bounds()
	for _, panel := range p.Panels {
		one := p
		one.Title, one.bare, one.within = panel.Title, true, &bounds
		panel.Series = slices.Clone(panel.Series)
		for i, s := range panel.Series {
			if at := slices.Index(labels, s.Label); at >= 0 {
				panel.Series[i].Look.key = at + 1
			} else if at := slices.Index(labels, s.Of); at >= 0 {
				panel.Series[i].Look.key = at + 1
			}
		}
		panel.Title = ""
		one.Panels = []Panel{panel}
		out = append(out, one)
	}
	return out
}

// marks finds what is drawn in a key's colour.
var marks = regexp.MustCompile(`<path d="([^"]*)" style="([^"]*)#(0[123])00([0-9A-F]{2})([^"]*)"`)

// onPage turns an SVG document into one for a page.
func onPage(svg []byte, d Drawing) []byte {
	if i := bytes.Index(svg, []byte("<svg")); i > 0 {
		svg = svg[i:] // the XML prologue has no place inside HTML
	}
	svg = marks.ReplaceAllFunc(svg, func(m []byte) []byte {
		f := marks.FindSubmatch(m)
		var key int
		fmt.Sscanf(string(f[4]), "%X", &key)
		if string(f[3]) == "02" {
			return fmt.Appendf(nil, `<path d="%s" style="%svar(--part%d)%s"`, f[1], f[2], key, f[5])
		}
		if string(f[3]) == "03" {
			f[5] = append([]byte(";fill-opacity:0.2"), f[5]...)
		}
		return fmt.Appendf(nil, `<path class="s%d" d="%s" style="%svar(--s%d)%s"`, key-1, f[1], f[2], key-1, f[5])
	})
	_, title := d.Head()
	return []byte(strings.NewReplacer(
		"#FFFFFF", "var(--paper)", "#E0E0E0", "var(--grid)", "#000000", "var(--ink)", "font-family:Liberation Sans", "font-family:inherit",
		"<svg ", `<svg role="img" aria-label="`+html.EscapeString(title)+`" `,
	).Replace(string(svg)))
}

// Colors are the style of a page that shows sheets: the variables of its series and of
// parts of bars, on white and, if dark, on black.
func Colors(looks []Look, dark bool) string {
	var b strings.Builder
	put := func(name string, c color.RGBA) {
		if dark {
			c = onDark(c)
		}
		fmt.Fprintf(&b, "--%s: #%02x%02x%02x; ", name, c.R, c.G, c.B)
	}
	for i, l := range looks {
		put(fmt.Sprintf("s%d", i), l.color())
	}
	for i, c := range parts() {
		put(fmt.Sprintf("part%d", i), c)
	}
	return b.String()
}

// onDark is a colour for black paper: as far from it in brightness as the other is from
// white at least.
func onDark(c color.RGBA) color.RGBA {
	const least = 110 // of 255, the mean of the brightest and the mean channel
	mean := (int(c.R) + int(c.G) + int(c.B)) / 3
	lift := max(0, least+30-(mean+int(max(c.R, c.G, c.B)))/2)
	up := func(v uint8) uint8 { return uint8(min(255, int(v)+lift)) }
	return color.RGBA{up(c.R), up(c.G), up(c.B), 255}
}
