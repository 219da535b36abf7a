package modetest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"viplab/modes"
	"viplab/modes/nftables"
	"viplab/modes/pipe"
)

// TestExample: the example of the documentation passes the suite's part on ClusterIPs.
func TestExample(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		fmt.Println("SKIPPED: the example in Python: it is not installed: sudo apt-get install python3")
		t.Skip(err)
	}
	m := example(t, python)
	RunClusterIP(t, m, Options{})
}

// example is the mode of the documentation.
func example(t *testing.T, python string) modes.Mode {
	script, err := filepath.Abs("../pipe/testdata/clusterip.py")
	if err != nil {
		t.Fatal(err)
	}
	limits := modes.Limits{}
	for _, a := range modes.Abilities() {
		switch a {
		case modes.ClusterIPs, modes.PortMapping, modes.NoEndpoints, modes.KeepsSource, modes.EndpointPorts:
		default:
			limits[a] = "the example is short"
		}
	}
	return modes.Mode{
		Name: "example", Summary: "an example in Python", DataPath: "O(N) rules", Needs: []string{"nf_tables"}, Limits: limits,
		Traits: func(modes.Args) modes.Traits { return modes.Traits{RealRoot: true} },
		New: func(_ modes.Args, m modes.Machine) modes.Proxier {
			return pipe.New(pipe.Options{
				Mode: "example", Command: []string{python, script}, Family: m.Family, Limits: limits,
				Check: nftables.New(nftables.Options{Family: m.Family}).Probe, Show: []string{"nft", "list", "ruleset", "ip"},
			})
		},
	}
}
