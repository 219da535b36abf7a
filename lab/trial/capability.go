package trial

import (
	"context"
	"errors"
	"fmt"

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

// Need is what is asked of a testbed beside the modes.
type Need struct {
	Backend string       `json:"backend"` // of the iptables modes
	Family  modes.Family `json:"family"`
	Tunnel  bool         `json:"tunnel"` // for mode ipvs
}

// Capabilities asks every named mode, in a namespace of its own, whether it can
// run here. Modes that can are absent from the result.
func Capabilities(ctx context.Context, names []string, need Need) (map[string]Lack, error) {
	out := map[string]Lack{}
	for _, name := range names {
		mode, err := catalog.Find(name)
		if err != nil {
			return nil, err
		}
		err = try(ctx, mode, need)
		var m *modes.MissingError
		switch {
		case errors.As(err, &m):
			l := Lack{Need: m.Need, Mend: m.Mend}
			if m.Err != nil {
				l.Why = m.Err.Error()
			}
			out[name] = l
		case err != nil:
			return nil, fmt.Errorf("try mode %s: %w", name, err)
		}
	}
	return out, nil
}

// try asks one mode.
func try(ctx context.Context, mode catalog.Mode, need Need) error {
	tunnel := need.Tunnel && mode.Name == "ipvs"
	net, err := topo.Build(topo.Options{Family: need.Family, Past: tunnel, Tunnel: tunnel})
	if err != nil {
		return err
	}
	err = net.Node.Do(func() error { return mode.New(catalog.Options{Backend: need.Backend, Family: need.Family}).Probe(ctx) })
	return errors.Join(err, net.Close())
}
