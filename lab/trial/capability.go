package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/catalog"
)

// Lack is what a mode misses in a testbed, as it travels between processes.
type Lack struct {
	Need string `json:"need"`
	Mend string `json:"mend"`
	Why  string `json:"why,omitempty"`
}

// Err is the Lack as a [modes.MissingError].
func (l Lack) Err() error {
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
// The answers are in the order of the question, nil for those that can.
func Capabilities(ctx context.Context, known catalog.Catalog, variants []Variant) ([]*Lack, error) {
	out := make([]*Lack, len(variants))
	for i, v := range variants {
		err := v.try(ctx, known)
		var m *modes.MissingError
		switch {
		case errors.As(err, &m):
			out[i] = &Lack{Need: m.Need, Mend: m.Mend}
			if m.Err != nil {
				out[i].Why = m.Err.Error()
			}
		case err != nil:
			return nil, fmt.Errorf("try mode %s: %w", v.Mode, err)
		}
	}
	return out, nil
}

// try asks one variant.
func (v Variant) try(ctx context.Context, known catalog.Catalog) error {
	mode, err := known.Find(v.Mode)
	if err != nil {
		return err
	}
	t := mode.TraitsOf(v.Args)
	net, err := topo.Build(topo.Options{Family: v.Family, DirectServerReturn: t.DirectServerReturn, Tunnel: t.Tunnel})
	if err != nil {
		return err
	}
	err = net.Node.Do(func() error {
		err := mode.Make(v.Args, modes.Machine{Family: v.Family}).Probe(ctx)
		for _, s := range v.Sysctls {
			err = cmp.Or(err, s.try())
		}
		return err
	})
	return errors.Join(err, net.Close())
}

// Equal tells whether two variants are the same.
func (v Variant) Equal(o Variant) bool {
	return v.Mode == o.Mode && v.Family == o.Family && maps.Equal(v.Args, o.Args)
}
