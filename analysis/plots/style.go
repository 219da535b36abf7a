// Package plots draws one picture a question: a row of panels that share their
// axes, one line a mode, the median with its interval, in SVG and PNG.
package plots

import (
	"image/color"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// style is how a mode looks in every picture: colours that colour-blind readers
// can tell apart (Okabe and Ito), and a shape for those who see none.
type style struct {
	mode  string
	color color.Color
	shape draw.GlyphDrawer
}

func styles() []style {
	return []style{
		{"direct", color.RGBA{0x7f, 0x7f, 0x7f, 255}, draw.CrossGlyph{}},
		{"userspace", color.RGBA{0xe6, 0x9f, 0x00, 255}, draw.PyramidGlyph{}},
		{"iptables", color.RGBA{0xd5, 0x5e, 0x00, 255}, draw.BoxGlyph{}},
		{"iptables-tree", color.RGBA{0x00, 0x9e, 0x73, 255}, draw.TriangleGlyph{}},
		{"ipvs", color.RGBA{0x00, 0x72, 0xb2, 255}, draw.CircleGlyph{}},
	}
}

// styleOf is the style of a mode; modes unknown here share one.
func styleOf(mode string) style {
	all := styles()
	i := slices.IndexFunc(all, func(s style) bool { return s.mode == mode })
	if i < 0 {
		return style{mode, color.RGBA{0xcc, 0x79, 0xa7, 255}, draw.RingGlyph{}}
	}
	return all[i]
}

// dashes tell variants of one mode apart in one panel: solid, dashed, dotted,
// dash-dotted and so on.
func dashes(variant int) []vg.Length {
	patterns := [][]vg.Length{
		nil, {vg.Points(5), vg.Points(3)}, {vg.Points(1), vg.Points(2)}, {vg.Points(6), vg.Points(2), vg.Points(1), vg.Points(2)},
		{vg.Points(10), vg.Points(4)},
	}
	return patterns[variant%len(patterns)]
}
