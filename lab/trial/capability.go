package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/pipe"
)

// Lack is what a mode misses in a testbed, as it travels between processes.
type Lack struct {
	// Need is empty where nothing is known to be missing: the mode failed as it was tried.
	Need string `json:"need"`
	Mend string `json:"mend"`
	Why  string `json:"why,omitempty"`

	silent bool // the mode's program did not answer in time
}

// lackOf is an error of a mode as a Lack, nil if there is none. Who reads it knows of which
// mode it is.
func lackOf(mode string, err error) *Lack {
	var m *modes.MissingError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &m):
		return &Lack{Why: strings.TrimPrefix(err.Error(), "mode "+mode+": "), silent: errors.Is(err, pipe.ErrSilent)}
	case m.Err != nil:
		return &Lack{Need: m.Need, Mend: m.Mend, Why: m.Err.Error()}
	}
	return &Lack{Need: m.Need, Mend: m.Mend}
}

// Failed tells whether the mode failed as it was tried.
func (l Lack) Failed() bool { return l.Need == "" }

// Err is the Lack as a [modes.MissingError], or what the mode failed with.
func (l Lack) Err() error {
	if l.Failed() {
		return fmt.Errorf("cannot run: %s", l.Why)
	}
	e := &modes.MissingError{Need: l.Need, Mend: l.Mend}
	if l.Why != "" {
		e.Err = errors.New(l.Why)
	}
	return e
}

// Variant is a mode with arguments, for Services of a family, of which is asked whether
// it can run.
type Variant struct {
	Mode   string       `json:"mode"`
	Args   modes.Args   `json:"args,omitempty"`
	Family modes.Family `json:"family,omitempty"`
	// RealRoot is whether the mode says that it needs the rights of the host's root.
	RealRoot bool `json:"real_root,omitempty"`
	// Sysctls are what a scenario sets.
	Sysctls []Sysctl `json:"sysctls,omitempty"`
}

// VariantOf is a mode with some arguments as a Variant.
func VariantOf(m modes.Mode, a modes.Args, f modes.Family) Variant {
	return Variant{Mode: m.Name, Args: a, Family: f, RealRoot: m.TraitsOf(a).RealRoot}
}

// Capabilities asks every variant, in namespaces of its own, whether it can run here.
// The answers are in the order of the question, nil for those that can. The error is not
// that of a mode.
func Capabilities(ctx context.Context, known catalog.Catalog, variants []Variant) ([]*Lack, error) {
	out := make([]*Lack, len(variants))
	silent := map[string]*Lack{} // by mode
	for i, v := range variants {
		if out[i] = silent[v.Mode]; out[i] != nil {
			continue
		}
		var err error
		if out[i], err = v.try(ctx, known); err != nil {
			return nil, fmt.Errorf("try mode %s: %w", v.Mode, err)
		}
		if out[i] != nil && out[i].silent {
			silent[v.Mode] = out[i]
		}
	}
	return out, nil
}

// try asks one variant.
func (v Variant) try(ctx context.Context, known catalog.Catalog) (*Lack, error) {
	mode, err := known.Find(v.Mode)
	if err != nil {
		return nil, err
	}
	t := mode.TraitsOf(v.Args)
	net, err := topo.Build(topo.Options{Family: v.Family, DirectServerReturn: t.DirectServerReturn, Tunnel: t.Tunnel})
	if modes.IsMissing(err) {
		return lackOf(v.Mode, err), nil
	}
	if err != nil {
		return nil, err
	}
	err = net.Node.Do(func() error {
		err := mode.Make(v.Args, modes.Machine{Family: v.Family}).Probe(ctx)
		for _, s := range v.Sysctls {
			err = cmp.Or(err, s.try())
		}
		return err
	})
	return lackOf(v.Mode, errors.Join(err, net.Close())), nil
}

// Equal tells whether two variants are the same.
func (v Variant) Equal(o Variant) bool {
	return v.Mode == o.Mode && v.Family == o.Family && maps.Equal(v.Args, o.Args)
}
