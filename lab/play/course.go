package play

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"viplab/modes"
)

// course is what the steps of a script lead to, as far as that can be known without playing
// it: so a script that cannot work is refused before anything is set up.
type course struct {
	svc     modes.Service // that the traffic goes to
	drained int           // of its endpoints, the oldest
	traffic bool          // runs
	reused  bool          // the last traffic reused its ports
	kept    bool          // connections
	phases  []coursePhase
}

// coursePhase is what a phase can tell.
type coursePhase struct {
	name    string
	traffic bool            // runs for some time
	steps   map[string]bool // names
}

// lastPhase is the one that every script has without a step.
const lastPhase = "end"

// walk follows the script's steps, and calls a function with what each one leads to.
func (s *Script) walk(at func(Step, *course) error) (*course, error) {
	c := &course{svc: modes.Service{
		Namespace: "scenario", Name: s.Name, ClusterIP: netip.AddrFrom4([4]byte{10, 96, 0, 1}),
		Ports:     []modes.ServicePort{{Name: "p", Protocol: modes.TCP, Port: 80, TargetPort: 80}},
		Endpoints: make([]modes.Endpoint, s.Endpoints),
	}}
	for i, st := range s.Steps {
		k, err := find(st.Do)
		if err == nil && k.check != nil {
			err = k.check(c, st)
		}
		if err == nil {
			c.pass(st)
			err = at(st, c)
		}
		if err != nil {
			return nil, fmt.Errorf("scenario %s, step %d (%s): %w", s.Name, i+1, st, err)
		}
	}
	return c, nil
}

// pass notes a step in the phase that it is in.
func (c *course) pass(s Step) {
	if len(c.phases) == 0 || s.Do == "phase" {
		return
	}
	p := &c.phases[len(c.phases)-1]
	p.steps[s.Do] = true
	p.traffic = p.traffic || c.traffic && s.Do != "traffic" // which takes no time
}

// begin notes a phase.
func (c *course) begin(name string) error {
	if name == lastPhase {
		return fmt.Errorf("phase %s is what comes after the last step: name it otherwise", name)
	}
	if slices.ContainsFunc(c.phases, func(p coursePhase) bool { return p.name == name }) {
		return fmt.Errorf("there is a phase %s already", name)
	}
	c.phases = append(c.phases, coursePhase{name: name, steps: map[string]bool{}})
	return nil
}

// has says whether the Service has so many endpoints by now.
func (c *course) has(n int) error {
	if have := len(c.svc.Endpoints); n > have {
		return fmt.Errorf("the Service has %d endpoints by then", have)
	}
	return nil
}

func (c *course) add(n int) { c.svc.Endpoints = append(c.svc.Endpoints, make([]modes.Endpoint, n)...) }

// expose gives the Service a node port.
func (c *course) expose() { c.svc.Ports[0].NodePort = usualNodePort }

func (c *course) exposed() bool { return c.svc.Ports[0].NodePort != 0 }

// remove takes the oldest endpoints away.
func (c *course) remove(n int) error {
	if err := c.has(n); err != nil {
		return err
	}
	c.svc.Endpoints, c.drained = c.svc.Endpoints[n:], max(c.drained-n, 0)
	return nil
}

// answers says whether an endpoint is there that takes connections, whatever the mode.
func (c *course) answers() error {
	switch n := len(c.svc.Endpoints); {
	case n == 0:
		return errors.New("the Service has no endpoint by then")
	case c.drained >= n:
		return errors.New("the Service has none but drained endpoints by then")
	}
	return nil
}

// tells says why an expectation has nothing to go by, nil if it has.
func (c *course) tells(e Expectation) error {
	by := recorder(e.Quantity)
	if e.Phase == lastPhase {
		if by == "keep" && c.kept {
			return nil
		}
		return fmt.Errorf("nothing tells %s at the end", e.Quantity)
	}
	i := slices.IndexFunc(c.phases, func(p coursePhase) bool { return p.name == e.Phase })
	switch {
	case i < 0:
		return fmt.Errorf("it does not have phase %q", e.Phase)
	case by == "keep":
		return fmt.Errorf("%s is known at the end alone", e.Quantity)
	case by != "" && !c.phases[i].steps[by]:
		return fmt.Errorf("phase %s has no step %s", e.Phase, by)
	case by == "" && !c.phases[i].traffic:
		return fmt.Errorf("no traffic runs for any time in phase %s", e.Phase)
	}
	return nil
}

// Suits says whether a mode with some arguments can serve what the script makes of its
// Service.
func (s Script) Suits(m modes.Mode, a modes.Args) error {
	if m.Baseline {
		return nil // its clients dial endpoints
	}
	_, err := s.walk(func(_ Step, c *course) error { return m.CheckServices(a, &c.svc) })
	return err
}
