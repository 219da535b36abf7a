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

// Capabilities asks every named mode, in a namespace of its own, whether it can
// run here, the iptables modes with the given backend. Modes that can are absent
// from the result.
func Capabilities(ctx context.Context, names []string, backend string) (map[string]Lack, error) {
	out := map[string]Lack{}
	for _, name := range names {
		mode, err := catalog.Find(name)
		if err != nil {
			return nil, err
		}
		net, err := topo.Build(topo.Options{})
		if err != nil {
			return nil, fmt.Errorf("try mode %s: %w", name, err)
		}
		err = net.Node.Do(func() error { return mode.New(catalog.Options{Backend: backend}).Probe(ctx) })
		if cerr := net.Close(); cerr != nil {
			return nil, cerr
		}
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
