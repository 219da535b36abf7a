package plots

import (
	"bytes"
	"fmt"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Drawing is what can be rendered: a [Picture] or a [Stack].
type Drawing interface {
	// Head gives the name of the files and the question that is answered.
	Head() (name, title string)
	// Empty tells whether there is nothing to draw.
	Empty() bool
	// CSV is the data that is drawn.
	CSV() ([]byte, error)

	size() (w, h vg.Length)
	draw(draw.Canvas) error
}

// SVG renders a drawing as SVG.
func SVG(d Drawing) ([]byte, error) {
	w, h := d.size()
	c := vgsvg.New(w, h)
	if err := safely(d, draw.New(c)); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("write SVG: %w", err)
	}
	return b.Bytes(), nil
}

// PNG renders a drawing as PNG.
func PNG(d Drawing) ([]byte, error) {
	w, h := d.size()
	c := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(110))
	if err := safely(d, draw.New(c)); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(&b); err != nil {
		return nil, fmt.Errorf("write PNG: %w", err)
	}
	return b.Bytes(), nil
}

// safely draws. gonum/plot panics on values that an axis cannot show; a picture
// that cannot be drawn must not take the program down.
func safely(d Drawing, dc draw.Canvas) (err error) {
	name, _ := d.Head()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("draw %s: %v", name, r)
		}
	}()
	if err := d.draw(dc); err != nil {
		return fmt.Errorf("draw %s: %w", name, err)
	}
	return nil
}
