package trial

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"viplab/modes"
	"viplab/results"
)

// NewRecord makes a record of the trial without values: of its variant, at its size, with
// further factors.
func (s Spec) NewRecord(metric string, at map[string]string) results.Record {
	f := maps.Clone(at)
	if f == nil {
		f = map[string]string{}
	}
	f[results.Services] = strconv.Itoa(s.Synth.Services)
	return results.Record{Metric: metric, Variant: s.Variant(), Factors: f, Trial: s.ID, Round: s.Round}
}

// Variant is what the trial's records are of. What has its default is not in it.
func (s Spec) Variant() results.Variant {
	v := results.Variant{results.Mode: s.Mode, results.Testbed: s.Testbed}
	if s.Input != nil {
		v[results.Input] = s.Input.Name
	} else {
		v[results.Endpoints], v[results.Ports] = strconv.Itoa(s.Synth.Endpoints), strconv.Itoa(s.Synth.Ports)
	}
	maps.Copy(v, s.Args)
	if s.Kernel != "" && s.Kernel != results.UsualKernel {
		v[results.Kernel] = s.Kernel
	}
	if s.CPUs > 1 {
		v[results.CPUs] = strconv.Itoa(s.CPUs)
	}
	if s.Synth.Family != "" && s.Synth.Family != modes.IPv4 {
		v[results.Family] = string(s.Synth.Family)
	}
	if s.Policies != 0 {
		v[results.Policies] = strconv.Itoa(s.Policies)
		if s.PolicyPackets != PolicyNew {
			v[results.Packets] = s.PolicyPackets
		}
	}
	if w := join(s.Synth.Weights); w != "" {
		v[results.Weights] = w
	}
	if s.Synth.Affinity != 0 {
		v[results.Affinity] = s.Synth.Affinity.String()
	}
	return v
}

// join writes weights as "1:3", "" for none.
func join(weights []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(weights), "[]"), " ", ":")
}

// Record writes down samples of a metric, with where in the trial they belong.
func (st *Stage) Record(metric string, at map[string]string, values ...float64) {
	if len(values) == 0 {
		return
	}
	rec := st.NewRecord(metric, at)
	rec.Values = values
	st.emit(rec)
}

// Censored records a duration that a limit cut off.
func (st *Stage) Censored(metric string, at map[string]string, took time.Duration) {
	rec := st.NewRecord(metric, at)
	rec.Values, rec.Over = []float64{took.Seconds()}, true
	st.emit(rec)
}

// emit sends a record out; the first failure ends the trial later. What can be no figure of a
// measurement is not recorded, and makes a failure of the trial.
func (st *Stage) emit(rec results.Record) {
	if err := rec.Fault(); err != nil {
		st.fault = cmp.Or(st.fault, fmt.Errorf("the record of %s %w", rec.Cell(), err))
		return
	}
	if err := st.out.Emit(Event{Record: &rec}); err != nil && st.emitErr == nil {
		st.emitErr = err
	}
}

// Step says what the trial does now, for people.
func (st *Stage) Step(format string, args ...any) {
	_ = st.out.Emit(Event{Step: fmt.Sprintf(format, args...)})
}
