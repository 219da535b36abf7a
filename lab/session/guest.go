package session

import (
	"fmt"
	"strings"

	"viplab/lab/testbed"
	"viplab/lab/trial"
)

// guest is what sets guests apart that are compared.
type guest struct {
	kernel string // by name, empty where there is no guest or none was chosen yet
	cpus   int    // 0 is 1
	id     string // of trials, ends so
}

// guests lists those that are compared: kernels by processors.
func (c Config) guests() (out []guest) {
	kernels := c.Kernels
	if len(kernels) == 0 || kernels[0] == KernelAuto {
		kernels = []string{""}
	}
	for _, k := range kernels {
		for _, n := range c.CPUs {
			g := guest{kernel: k, cpus: n}
			if len(kernels) > 1 {
				g.id += "-k" + strings.ReplaceAll(k, "/", "_")
			}
			if len(c.CPUs) > 1 {
				g.id += fmt.Sprintf("-c%d", n)
			}
			out = append(out, g)
		}
	}
	return out
}

// of is a trial in that guest.
func (g guest) of(t trial.Spec) trial.Spec {
	t.Kernel, t.CPUs, t.ID = g.kernel, g.cpus, t.ID+g.id
	return t
}

// holds tells whether a trial runs in such a guest.
func (g guest) holds(t trial.Spec) bool { return t.Kernel == g.kernel && t.CPUs == g.cpus }

// testbedOf gives each trial the testbed with its kernel and its processors.
func testbedOf(at []place) func(trial.Spec) testbed.Testbed {
	return func(t trial.Spec) testbed.Testbed {
		for _, p := range at {
			if p.kernel == t.Kernel {
				return p.with(t.CPUs)
			}
		}
		return at[0].with(t.CPUs)
	}
}

// with is the place's testbed, a guest with so many processors.
func (p place) with(cpus int) testbed.Testbed {
	if one, ok := p.Testbed.(*testbed.UML); ok {
		sized := *one
		sized.CPUs = cpus
		return &sized
	}
	return p.Testbed
}
