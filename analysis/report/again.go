package report

import (
	"fmt"
	"slices"
	"strings"

	"viplab/results"
)

// again is the command that runs the same matrix again, from the run's
// configuration.
func again(run *results.Run) []string {
	if len(run.Config) == 0 {
		return nil
	}
	list := func(name string) string {
		items, _ := run.Config[name].([]any)
		var out []string
		for _, it := range items {
			out = append(out, fmt.Sprint(it))
		}
		return strings.Join(out, ",")
	}
	cmd := []string{"viplab", "bench"}
	for _, f := range [][3]string{
		{"services", "services", ""}, {"modes", "modes", ""}, {"sync", "sync", "partial"}, {"backends", "backend", "legacy"},
		{"binds", "bind", "address"}, {"policies", "policies", "0"}, {"plain_rules", "plain-rules", ""},
	} {
		if v := list(f[0]); v != "" && v != f[2] {
			cmd = append(cmd, "--"+f[1], v)
		}
	}
	for _, f := range [][3]string{
		{"endpoints", "endpoints", "2"}, {"ports", "ports", "1"}, {"rounds", "repeat", ""}, {"testbed", "testbed", ""}, {"seed", "seed", "1"},
		{"fanout", "fanout", "8"}, {"live", "live", "0s"}, {"churn", "churn", "0"},
	} {
		if v, ok := run.Config[f[0]]; ok && fmt.Sprint(v) != f[2] {
			cmd = append(cmd, "--"+f[1], fmt.Sprint(v))
		}
	}
	if run.Config["quick"] == true {
		cmd = slices.Insert(cmd, 2, "--quick")
	}
	return []string{strings.Join(cmd, " "), "viplab report " + run.Dir + "   # plots and report from the same records"}
}
