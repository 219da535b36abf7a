package play

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/plaintext"
)

// Script is a scenario.
type Script struct {
	Name      string   `json:"name"`
	Question  string   `json:"question"`
	Modes     []string `json:"modes"`
	Services  int      `json:"services"`
	Endpoints int      `json:"endpoints"`
	// Outside puts the client outside of the cluster's range; it is a pod by its
	// address otherwise.
	Outside bool `json:"outside"`
	// Params are parameters of modes, by name. It is played in the modes that have them.
	Params map[string]string `json:"params,omitempty"`
	// Weights are those of the endpoints, in turn, in modes that can.
	Weights []int  `json:"weights,omitempty"`
	Steps   []Step `json:"steps"`
	Expect  []Expectation
	// Patient is set where waiting is the point: no wait is cut, and among all scenarios it
	// is played in time travel alone.
	Patient bool `json:"patient,omitempty"`
	// TimeTravel says that it is played where computing takes no time.
	TimeTravel bool `json:"time_travel,omitempty"`
}

// longest bounds a scenario's waits, longestPatient those of one whose waiting is the point.
const longest, longestPatient = 5 * time.Minute, 15 * time.Minute

// Read reads a scenario, played in modes of a catalog. Its error names the line.
func Read(name string, r io.Reader, known catalog.Catalog) (Script, error) {
	s := Script{Name: name, Modes: known.Usual().Names(), Services: 1, Endpoints: 2}
	in := bufio.NewScanner(plaintext.Reader(r))
	for n := 1; in.Scan(); n++ {
		line, _, _ := strings.Cut(in.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.line(words, known); err != nil {
			return s, fmt.Errorf("scenario %s, line %d: %w", name, n, err)
		}
	}
	if err := in.Err(); err != nil {
		return s, fmt.Errorf("read scenario %s: %w", name, err)
	}
	return s, s.validate()
}

func (s *Script) line(words []string, known catalog.Catalog) (err error) {
	args := words[1:]
	switch words[0] {
	case "question":
		s.Question = strings.Join(args, " ")
		return nil
	case "modes":
		for _, m := range args {
			if _, err := known.Find(m); err != nil {
				return err
			}
		}
		s.Modes = args
		return nil
	case "services":
		if len(args) != 3 || args[1] != "endpoints" {
			return fmt.Errorf("want services N endpoints N")
		}
		if s.Services, err = number(args[0], 1, 5000); err == nil {
			s.Endpoints, err = number(args[2], 1, 100)
		}
		return err
	case "client":
		if len(args) != 1 || args[0] != "outside" && args[0] != "inside" {
			return fmt.Errorf("want client inside or client outside (of the cluster's range)")
		}
		s.Outside = args[0] == "outside"
		return nil
	case "patient":
		if len(args) > 0 {
			return fmt.Errorf("patient stands alone, got %q", strings.Join(args, " "))
		}
		s.Patient = true
		return nil
	case "with":
		return s.with(args, known)
	case "weights":
		s.Weights = nil
		for _, a := range args {
			w, err := number(a, 1, 100)
			if err != nil {
				return err
			}
			s.Weights = append(s.Weights, w)
		}
		return nil
	case "expect":
		e, err := expectation(args)
		s.Expect = append(s.Expect, e)
		return cmp.Or(err, e.check(known))
	}
	step, err := readStep(words[0], args)
	s.Steps = append(s.Steps, step)
	return err
}

// with reads "NAME VALUE", a parameter of a mode.
func (s *Script) with(args []string, known catalog.Catalog) error {
	if len(args) != 2 {
		return fmt.Errorf("want with PARAMETER VALUE, got %q", strings.Join(args, " "))
	}
	all := known.Params()
	i := slices.IndexFunc(all, func(p modes.Param) bool { return p.Name == args[0] })
	if i < 0 {
		return fmt.Errorf("no mode has a parameter %q", args[0])
	}
	if !slices.Contains(all[i].Values, args[1]) {
		return fmt.Errorf("unknown %s %q: valid are %s", args[0], args[1], strings.Join(all[i].Values, ", "))
	}
	if s.Params == nil {
		s.Params = map[string]string{}
	}
	s.Params[args[0]] = args[1]
	return nil
}

func (s *Script) validate() error {
	switch waits := s.Length(); {
	case len(s.Steps) == 0:
		return fmt.Errorf("scenario %s has no step", s.Name)
	case len(s.Expect) == 0:
		return fmt.Errorf("scenario %s expects nothing, so that nothing could fail: it needs a line expect QUANTITY PHASE <= VALUE", s.Name)
	case waits > longest && !s.Patient:
		return fmt.Errorf("scenario %s waits for %s, at most %s, or %s with the line patient", s.Name, waits, longest, longestPatient)
	case waits > longestPatient:
		return fmt.Errorf("scenario %s waits for %s, at most %s", s.Name, waits, longestPatient)
	}
	c, err := s.walk(func(Step, *course) error { return nil })
	if err != nil {
		return err
	}
	for _, e := range s.Expect {
		if err := c.tells(e); err != nil {
			return fmt.Errorf("scenario %s expects %s: %w", s.Name, e.Text(), err)
		}
		for _, m := range e.Modes {
			if !slices.Contains(s.Modes, m) {
				return fmt.Errorf("scenario %s expects something of mode %s, in which it is not played (%s)", s.Name, m, strings.Join(s.Modes, " "))
			}
		}
	}
	return nil
}

// Length is how long the steps wait in all.
func (s Script) Length() (d time.Duration) {
	for _, st := range s.Steps {
		d += st.For
	}
	return d
}

// Over tells whether any traffic goes over a protocol.
func (s Script) Over(proto modes.Protocol) bool {
	return slices.ContainsFunc(s.Steps, func(st Step) bool { return st.Over == proto })
}

// Sysctls lists what the script sets, in order.
func (s Script) Sysctls() (out []trial.Sysctl) {
	for _, st := range s.Steps {
		if st.Do == "sysctl" {
			out = append(out, trial.Sysctl{Name: st.Name, Value: st.Value})
		}
	}
	return out
}

// FromPods tells whether any traffic starts at an endpoint.
func (s Script) FromPods() bool {
	return slices.ContainsFunc(s.Steps, func(st Step) bool { return st.From == FromPod })
}

// Shorter is the scenario with each wait cut to a part, but none below least, and none of
// one whose waiting is the point. What takes time otherwise (a lock that is held) is the
// same: expectations speak of it.
func (s Script) Shorter(part float64, least time.Duration) Script {
	if s.Patient {
		return s
	}
	s.Steps = slices.Clone(s.Steps)
	for i := range s.Steps {
		if d := &s.Steps[i].For; s.Steps[i].Do == "wait" {
			*d = min(*d, max(time.Duration(part*float64(*d)), least))
		}
	}
	return s
}
