package modetest

import (
	"fmt"
	"testing"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/snapshot/synth"
)

// forwarding: what is programmed serves, and nothing else does.
func forwarding(t *testing.T, m modes.Mode) {
	for _, spec := range []synth.Spec{
		{Services: 1, Endpoints: 1, Ports: 1, Seed: 1},
		{Services: 50, Endpoints: 3, Ports: 2, Seed: 7},
	} {
		t.Run(fmt.Sprintf("%d services", spec.Services), func(t *testing.T) {
			b := NewRig(t, m, nil, spec)
			b.Program(b.Snapshot)
			if err := b.Validate(true); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// families: every mode serves IPv6, and both families at once.
func families(t *testing.T, m modes.Mode) {
	for _, f := range modes.Families()[1:] {
		t.Run(string(f), func(t *testing.T) {
			spec := synth.Spec{Services: 20, Endpoints: 3, Ports: 2, Seed: 7, Family: f}
			b := NewRig(t, m, nil, spec)
			before := b.State()
			b.Program(b.Snapshot)
			if err := b.Validate(true); err != nil {
				t.Fatal(err)
			}
			for _, kind := range modes.ChangeKinds() {
				next, svc, err := spec.Apply(b.Snapshot, kind)
				if err != nil {
					t.Fatal(err)
				}
				b.Program(next)
				if m.Baseline {
					continue
				}
				if kind == modes.ServiceDelete {
					err = b.Unanswered(trial.Front(svc))
				} else {
					err = b.RightEndpoint(b.Net.Client, b.Prober, modes.TCP, svc)
				}
				if err != nil {
					t.Errorf("after %s: %v", kind, err)
				}
			}
			if again := b.Program(b.Snapshot); again.Rules+again.Objects+again.ToolCalls != 0 {
				t.Errorf("the same snapshot again cost %+v", again)
			}
			if err := b.Net.Node.Do(b.Proxier.Close); err != nil {
				t.Fatal(err)
			}
			if after := b.State(); after != before {
				t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}
