package play

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"viplab/analysis/summary"
	"viplab/modes"
)

// Step is one thing to do, as it was read from a script.
type Step struct {
	Do    string        `json:"do"`
	N     int           `json:"n,omitempty"`
	For   time.Duration `json:"for,omitempty"`
	Name  string        `json:"name,omitempty"`
	Value string        `json:"value,omitempty"`
	// From and To are where traffic starts and what it dials.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Over is the protocol of traffic.
	Over modes.Protocol `json:"over,omitempty"`

	text string // as the script has it
}

// String is the step as the script has it.
func (s Step) String() string { return s.text }

// step is a kind of Step: how it is written, and what it does.
type step struct {
	name string
	// usage is the words after the name, and help what it does, for people.
	usage, help string
	// words is how many words follow the name, -1 where it varies; 0 stands for as many
	// as usage has.
	words int
	// parse reads them; nil for none.
	parse func(*Step, []string) error
	// check says why it cannot be done where the steps before have led, and notes where it
	// leads itself; nil if it can always be done and leads nowhere.
	check func(*course, Step) error
	do    func(*player, Step) error
}

// steps lists the kinds of steps.
func steps() []step {
	return slices.Concat(
		timeSteps(), endpointSteps(), nodeSteps(), writerSteps(),
		[]step{keepStep(), trafficStep(), showStep()},
	)
}

// timeSteps are those in which only time passes.
func timeSteps() []step {
	return []step{
		{name: "phase", usage: "NAME", help: "a phase begins, whose quantities are told apart",
			parse: func(s *Step, args []string) error { s.Name = args[0]; return nil },
			check: func(c *course, s Step) error { return c.begin(s.Name) },
			do: func(p *player, s Step) error {
				p.phases = append(p.phases, phaseStart{s.Name, p.since()})
				return nil
			}},
		{name: "wait", usage: "DURATION", help: "nothing changes for that long",
			parse: func(s *Step, args []string) (err error) { s.For, err = duration(args[0]); return err },
			do:    func(p *player, s Step) error { p.sleep(s.For); return nil }},
	}
}

// find is the kind of step of that name.
func find(name string) (step, error) {
	all := steps()
	i := slices.IndexFunc(all, func(k step) bool { return k.name == name })
	if i >= 0 {
		return all[i], nil
	}
	var names []string
	for _, k := range all {
		names = append(names, k.name)
	}
	slices.Sort(names)
	return step{}, fmt.Errorf("unknown step %q: valid are %s", name, strings.Join(names, ", "))
}

// readStep reads a step.
func readStep(do string, args []string) (Step, error) {
	k, err := find(do)
	if err != nil {
		return Step{}, err
	}
	if want := k.wordCount(); want >= 0 && len(args) != want {
		return Step{}, fmt.Errorf("step %s takes %s, got %d", do, summary.Count(want, "word"), len(args))
	}
	s := Step{Do: do, text: strings.Join(append([]string{do}, args...), " ")}
	if k.parse != nil {
		err = k.parse(&s, args)
	}
	return s, err
}

func (k step) wordCount() int {
	if k.words != 0 {
		return k.words
	}
	return len(strings.Fields(k.usage))
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
	if err != nil || d <= 0 || d > longestPatient {
		return 0, fmt.Errorf("want a duration up to %s, got %q", longest, s)
	}
	return d, nil
}

// Usage lists the steps and the quantities, for people.
func Usage() string {
	var b strings.Builder
	b.WriteString("steps\n")
	for _, k := range steps() {
		fmt.Fprintf(&b, "  %-22s %s\n", strings.TrimSpace(k.name+" "+k.usage), k.help)
	}
	b.WriteString("quantities of a phase\n")
	for _, q := range quantities() {
		unit := ""
		if q.unit != "" {
			unit = ", in " + q.unit
		}
		fmt.Fprintf(&b, "  %-22s %s%s\n", q.name, q.meaning, unit)
	}
	return b.String()
}
