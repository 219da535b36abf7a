// Package scenario reads scenarios: text files of steps that change Services under
// traffic, with what is expected of each mode. A user can write one of their own.
//
//	question Do clients notice when endpoints are replaced one by one?
//	modes iptables ipvs          # all modes, if not given
//	services 20 endpoints 4
//	client inside                # of the cluster's range, or outside
//	traffic 200 fresh            # connections a second, open loop, from fresh ports
//	phase before
//	wait 1s
//	phase during
//	replace 1                    # one endpoint comes, one goes, in one sync
//	wait 300ms
//	phase after
//	wait 1s
//	expect failed during <= 0.01
//	expect stale after <= 0
//
// Steps: phase NAME; wait DURATION; add N, remove N, replace N endpoints of the
// Service that the traffic goes to; drain N DURATION (as remove, but ipvs gives them
// weight 0 for that long first); refresh (everything is written again); keep N (opens
// connections that are asked again at the end of the scenario); sysctl NAME VALUE in
// the node; lock DURATION (somebody else holds the lock of iptables); traffic RATE
// fresh|reuse [from client|node|pod] [to vip|nodeport] (takes the place of the traffic
// before; a pod is the Service's first endpoint), traffic off (waits for what is under way); expose (gives the Service a node
// port); policy cluster, policy local N (external traffic policy; the first N
// endpoints are on the node); quiesce N (ipvs gives the oldest endpoints weight 0 and
// keeps them); append N wait|nowait|brief (a second writer of iptables adds N rules to a
// chain of its own, with -w, without, or with -w 1), overlap N (N times it restores what it read before somebody
// else added a rule); show (writes down what IPVS and conntrack hold of the Service).
//
// Quantities of a phase: failed and stale (shares of its requests: not answered;
// answered by an endpoint that was removed before they were sent), drained (answered
// by one that was quiesced before), local (by one on the node), masqueraded (whose
// endpoint saw another source than the sender's address), newest (by endpoints that
// were added), even (the chance of so uneven a choice among the endpoints of the phase's end, if
// all were alike: chi-square), lingers (seconds from an endpoint's removal until the last
// answer by it), busiest (the share of the busiest endpoint over the mean), p50, p99 and
// stall (seconds), giveup (median seconds until a request failed), slow (the share near
// one second: a lost SYN), kept (of connections kept open, the share that still answer;
// phase end). Of a second writer: refused (the share of its calls), writer (median seconds
// of a call), lost (the share of the other's rules that are gone).
package scenario

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"viplab/modes/catalog"
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
	Outside bool   `json:"outside"`
	Steps   []Step `json:"steps"`
	Expect  []Expectation
}

// Step is one thing to do.
type Step struct {
	Do    string        `json:"do"`
	N     int           `json:"n,omitempty"`
	For   time.Duration `json:"for,omitempty"`
	Name  string        `json:"name,omitempty"`
	Value string        `json:"value,omitempty"`
	// From and To are where traffic starts and what it dials.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Where traffic starts, and what it dials.
const (
	FromClient, FromNode, FromPod = "client", "node", "pod"
	ToVIP, ToNodePort             = "vip", "nodeport"
)

// Expectation is a bound on a quantity of a phase, for all modes or some.
type Expectation struct {
	Quantity, Phase, Op string
	Value               float64
	Modes               []string
}

// Text is the expectation as it was written.
func (e Expectation) Text() string {
	s := fmt.Sprintf("%s %s %s %g", e.Quantity, e.Phase, e.Op, e.Value)
	if len(e.Modes) > 0 {
		s += " in " + strings.Join(e.Modes, ",")
	}
	return s
}

// Holds tells whether a value meets the expectation.
func (e Expectation) Holds(v float64) bool {
	if e.Op == ">=" {
		return v >= e.Value
	}
	return v <= e.Value
}

// Quantities lists what can be expected of a phase.
func Quantities() []string {
	return []string{"failed", "stale", "drained", "local", "masqueraded", "newest", "even", "lingers", "busiest", "p50", "p99", "stall", "giveup", "slow",
		"refused", "writer", "lost", "kept"}
}

// longest bounds a scenario's waits.
const longest = 5 * time.Minute

// Read reads a scenario, played in modes of a catalog. Its error names the line.
func Read(name string, r io.Reader, known catalog.Catalog) (Script, error) {
	s := Script{Name: name, Modes: known.Names(), Services: 1, Endpoints: 2}
	in := bufio.NewScanner(r)
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
	case "expect":
		e, err := expectation(args)
		s.Expect = append(s.Expect, e)
		return err
	}
	step, err := step(words[0], args)
	s.Steps = append(s.Steps, step)
	return err
}

// expectation reads "QUANTITY PHASE <=|>= VALUE [in MODE,MODE]".
func expectation(args []string) (e Expectation, err error) {
	if len(args) != 4 && (len(args) != 6 || args[4] != "in") {
		return e, fmt.Errorf("want expect QUANTITY PHASE <= VALUE [in MODES]")
	}
	e = Expectation{Quantity: args[0], Phase: args[1], Op: args[2]}
	if !slices.Contains(Quantities(), e.Quantity) {
		return e, fmt.Errorf("unknown quantity %q: valid are %v", e.Quantity, Quantities())
	}
	if e.Op != "<=" && e.Op != ">=" {
		return e, fmt.Errorf("expectations compare by <= or >=, not %q", e.Op)
	}
	if e.Value, err = strconv.ParseFloat(args[3], 64); err != nil {
		return e, fmt.Errorf("%q is no number", args[3])
	}
	if len(args) == 6 {
		e.Modes = strings.Split(args[5], ",")
	}
	return e, nil
}

func (s *Script) validate() error {
	phases := []string{"end"}
	var waits time.Duration
	exposed := false
	for _, st := range s.Steps {
		switch st.Do {
		case "phase":
			phases = append(phases, st.Name)
		case "expose":
			exposed = true
		case "traffic":
			if st.To == ToNodePort && !exposed {
				return fmt.Errorf("scenario %s has traffic to a node port before the step expose", s.Name)
			}
		}
		waits += st.For
	}
	switch {
	case len(s.Steps) == 0:
		return fmt.Errorf("scenario %s has no step", s.Name)
	case waits > longest:
		return fmt.Errorf("scenario %s waits for %s, at most %s", s.Name, waits, longest)
	}
	for _, e := range s.Expect {
		if !slices.Contains(phases, e.Phase) {
			return fmt.Errorf("scenario %s expects something of phase %q, which it does not have", s.Name, e.Phase)
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

// FromPods tells whether any traffic starts at an endpoint.
func (s Script) FromPods() bool {
	return slices.ContainsFunc(s.Steps, func(st Step) bool { return st.From == FromPod })
}

// Shorter is the scenario with each wait cut to a part, but none below 300 ms.
func (s Script) Shorter(part float64) Script {
	s.Steps = slices.Clone(s.Steps)
	for i := range s.Steps {
		if d := &s.Steps[i].For; *d > 0 {
			*d = min(*d, max(time.Duration(part*float64(*d)), 300*time.Millisecond))
		}
	}
	return s
}
