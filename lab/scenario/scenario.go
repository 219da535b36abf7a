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
	"maps"
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

// Read reads a scenario. Its error names the line.
func Read(name string, r io.Reader) (Script, error) {
	s := Script{Name: name, Modes: catalog.Names(), Services: 1, Endpoints: 2}
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		line, _, _ := strings.Cut(in.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.line(words); err != nil {
			return s, fmt.Errorf("scenario %s, line %d: %w", name, n, err)
		}
	}
	if err := in.Err(); err != nil {
		return s, fmt.Errorf("read scenario %s: %w", name, err)
	}
	return s, s.validate()
}

func (s *Script) line(words []string) (err error) {
	args := words[1:]
	switch words[0] {
	case "question":
		s.Question = strings.Join(args, " ")
		return nil
	case "modes":
		for _, m := range args {
			if _, err := catalog.Find(m); err != nil {
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

// step reads a step.
func step(do string, args []string) (s Step, err error) {
	s.Do = do
	want := steps()
	n, known := want[do]
	switch {
	case !known:
		return s, fmt.Errorf("unknown step %q: valid are %s", do, strings.Join(slices.Sorted(maps.Keys(want)), ", "))
	case n >= 0 && len(args) != n:
		return s, fmt.Errorf("step %s takes %d words, got %d", do, n, len(args))
	}
	switch do {
	case "phase":
		s.Name = args[0]
	case "wait", "lock":
		s.For, err = duration(args[0])
	case "add", "remove", "replace", "keep", "quiesce", "overlap":
		s.N, err = number(args[0], 1, 100)
	case "drain":
		if s.N, err = number(args[0], 1, 100); err == nil {
			s.For, err = duration(args[1])
		}
	case "sysctl":
		s.Name, s.Value = args[0], args[1]
		if !strings.HasPrefix(s.Name, "net.ipv4.") {
			err = fmt.Errorf("only sysctls of the node's own network (net.ipv4.) can be set, not %s", s.Name)
		}
	case "append":
		if s.N, err = number(args[0], 1, 100); err == nil && !slices.Contains([]string{"wait", "nowait", "brief"}, args[1]) {
			err = fmt.Errorf("a writer goes to wait, nowait or brief for the lock, not %q", args[1])
		}
		s.Value = args[1]
	case "policy":
		err = s.policy(args)
	case "traffic":
		err = s.traffic(args)
	}
	return s, err
}

// steps lists the steps with the number of their words, -1 where it varies.
func steps() map[string]int {
	return map[string]int{"phase": 1, "wait": 1, "add": 1, "remove": 1, "replace": 1, "drain": 2, "refresh": 0, "keep": 1,
		"sysctl": 2, "lock": 1, "traffic": -1, "expose": 0, "policy": -1, "quiesce": 1, "show": 0,
		"append": 2, "overlap": 1}
}

// policy reads "cluster" or "local N".
func (s *Step) policy(args []string) (err error) {
	switch {
	case len(args) == 1 && args[0] == "cluster":
		s.Value = args[0]
		return nil
	case len(args) == 2 && args[0] == "local":
		s.Value = args[0]
		s.N, err = number(args[1], 0, 100)
		return err
	}
	return fmt.Errorf("want policy cluster or policy local N, got %q", strings.Join(args, " "))
}

// traffic reads "RATE fresh|reuse [from WHERE] [to WHAT]" or "off".
func (s *Step) traffic(args []string) (err error) {
	if slices.Equal(args, []string{"off"}) {
		s.Value = args[0]
		return nil
	}
	if len(args) < 2 || len(args)%2 != 0 {
		return fmt.Errorf("want traffic RATE fresh|reuse [from client|node|pod] [to vip|nodeport], got %q", strings.Join(args, " "))
	}
	if s.N, err = number(args[0], 1, 2000); err != nil {
		return err
	}
	if s.Value = args[1]; s.Value != "fresh" && s.Value != "reuse" {
		return fmt.Errorf("traffic uses fresh or reuse ports, not %q", s.Value)
	}
	s.From, s.To = FromClient, ToVIP
	for i := 2; i < len(args); i += 2 {
		switch word, value := args[i], args[i+1]; {
		case word == "from" && slices.Contains([]string{FromClient, FromNode, FromPod}, value):
			s.From = value
		case word == "to" && slices.Contains([]string{ToVIP, ToNodePort}, value):
			s.To = value
		default:
			return fmt.Errorf("traffic goes from client, node or pod, to vip or nodeport, not %s %s", word, value)
		}
	}
	return nil
}

func number(s string, lo, hi int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < lo || n > hi {
		return 0, fmt.Errorf("want a number from %d to %d, got %q", lo, hi, s)
	}
	return n, nil
}

func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > longest {
		return 0, fmt.Errorf("want a duration up to %s, got %q", longest, s)
	}
	return d, nil
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
