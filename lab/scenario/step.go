package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
