// Package plots draws one picture a question: a row of panels that share their
// axes, one line a series, the median with its interval, in SVG and PNG.
//
// [Questions] lists the pictures of a run. What a series looks like follows from its
// place in the report alone ([Look]), never from its name, so any mode can be drawn.
package plots

import (
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"viplab/analysis/summary"
)

// Look is how a series is told from the others of a report, in every picture: colour
// and shape by its mode's place, dashes and further shapes by the variant's place in
// the mode. The zero Look is the first variant of the first mode.
type Look struct {
	// Baseline is drawn in grey.
	Baseline bool
	// Mode and Variant are places, from 0.
	Mode, Variant int

	key int // of a [Sheet], from 1: stands in its SVG for the colour
}

// LookOf is the Look of a series.
func LookOf(one summary.Series) Look {
	return Look{Baseline: one.Baseline, Mode: one.Place, Variant: one.Sibling}
}

// palette lists colours that colour-blind readers can tell apart on white: those of
// Okabe and Ito ("Color Universal Design", 2008), without yellow, which is too faint
// for a line, and so that the first ones differ most.
func palette() []color.RGBA {
	return []color.RGBA{
		{0x00, 0x72, 0xb2, 255}, // blue
		{0xe6, 0x9f, 0x00, 255}, // orange
		{0x00, 0x9e, 0x73, 255}, // bluish green
		{0xd5, 0x5e, 0x00, 255}, // vermilion
		{0xcc, 0x79, 0xa7, 255}, // reddish purple
		{0x56, 0xb4, 0xe9, 255}, // sky blue
		{0x00, 0x00, 0x00, 255}, // black
	}
}

// grey is the baseline's, and that of what is from memory only.
func grey() color.RGBA { return color.RGBA{0x70, 0x70, 0x70, 255} }

// shapes are as many as share no divisor with the number of colours, so that the two
// together repeat late. Crosses, plus signs and rings are left to the baseline and to
// what was not measured.
func shapes() []draw.GlyphDrawer {
	return []draw.GlyphDrawer{draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{}, draw.CircleGlyph{}, draw.SquareGlyph{}}
}

// dashes are solid, dashed, dotted and so on.
func dashes() [][]vg.Length {
	return [][]vg.Length{
		nil, {vg.Points(5), vg.Points(3)}, {vg.Points(1), vg.Points(2)}, {vg.Points(6), vg.Points(2), vg.Points(1), vg.Points(2)},
		{vg.Points(10), vg.Points(4)},
	}
}

// color is the mode's.
func (l Look) color() color.RGBA {
	switch {
	case l.key > 0:
		return seriesKey(l.key)
	case l.Baseline:
		return grey()
	}
	return palette()[l.Mode%len(palette())]
}

// shape is the mode's for its first variant.
func (l Look) shape() draw.GlyphDrawer {
	if l.Baseline && l.Variant == 0 {
		return draw.CrossGlyph{}
	}
	all := shapes()
	return all[(l.Mode+l.Variant+l.Variant/len(dashes()))%len(all)]
}

// dash is that of the variant's line.
func (l Look) dash() []vg.Length { return dashes()[l.Variant%len(dashes())] }

// parts lists colours of the parts of bars: seven, as many as a sync has phases, that differ
// in brightness and hue, from each other and from those of modes, after P. Tol's "muted"
// ("Colour Schemes", 2021).
func parts() []color.RGBA {
	return []color.RGBA{
		{0x33, 0x22, 0x88, 255}, // indigo
		{0xdd, 0xcc, 0x77, 255}, // sand
		{0x11, 0x77, 0x33, 255}, // green
		{0xbb, 0xbb, 0xbb, 255}, // pale grey
		{0x88, 0x22, 0x55, 255}, // wine
		{0x99, 0x99, 0x33, 255}, // olive
		{0xcc, 0x66, 0x77, 255}, // rose
	}
}

// partColor is the colour of a part of a bar. Beyond the list parts get paler ones.
func partColor(i int) color.Color {
	all := parts()
	c := all[i%len(all)]
	return color.NRGBA{c.R, c.G, c.B, uint8(255 / (1 + i/len(all)))}
}
