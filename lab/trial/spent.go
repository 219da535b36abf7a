package trial

import (
	"maps"
	"slices"
	"time"

	"viplab/results"
)

// Steps of a trial beside its measurements.
const (
	stepSetUp    = "set up"
	stepProgram  = "program"
	stepValidate = "validate"
	stepTearDown = "tear down"
)

// FixedSteps are those that every trial has, whatever it measures.
func FixedSteps() []string { return []string{stepSetUp, stepProgram, stepValidate, stepTearDown} }

// spend adds what a step takes to where the trial's time goes. A step that another one
// contains counts in both, so measurements that have a set-up of their own are not parted.
func (st *Stage) spend(step string, do func() error) error {
	start := time.Now()
	err := do()
	if st.spent == nil {
		st.spent = map[string]time.Duration{}
	}
	st.spent[step] += time.Since(start)
	st.peak.Look()
	return err
}

// recordSpent writes down where the trial's time went.
func (st *Stage) recordSpent(whole time.Duration) {
	st.Record(results.TrialSeconds, nil, whole.Seconds())
	for _, step := range slices.Sorted(maps.Keys(st.spent)) {
		st.Record(results.TrialSeconds, map[string]string{results.Step: step}, st.spent[step].Seconds())
	}
}
