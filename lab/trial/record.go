package trial

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"viplab/results"
)

// Variant is what the trial's records say it compares: the mode with its arguments, and
// what holds for the whole trial. What has its default is absent.
func (s Spec) Variant() map[string]string {
	v := map[string]string{
		results.Mode:      s.Mode,
		results.Endpoints: strconv.Itoa(s.Synth.Endpoints),
		results.Ports:     strconv.Itoa(s.Synth.Ports),
		results.Testbed:   s.Testbed,
	}
	maps.Copy(v, s.Args)
	if s.PolicyPackets != "" {
		v[results.Policies], v[results.Packets] = strconv.Itoa(s.Policies), s.PolicyPackets
	}
	for name, value := range map[string]string{
		results.Family: string(s.Synth.Family), results.Weights: join(s.Synth.Weights), results.Affinity: affinity(s.Synth.Affinity),
	} {
		if value != "" {
			v[name] = value
		}
	}
	return v
}

// factors are all of a record: the variant and where the sample belongs.
func (st *Stage) factors(more map[string]string) map[string]string {
	f := st.Variant()
	f[results.Services] = strconv.Itoa(st.Synth.Services)
	maps.Copy(f, more)
	return f
}

// join writes weights as a factor, "" for none.
func join(weights []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(weights), "[]"), " ", ":")
}

// affinity writes a timeout as a factor, "" for none.
func affinity(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// Record writes down samples of a metric, with where in the trial they belong.
func (st *Stage) Record(metric string, more map[string]string, values ...float64) {
	if len(values) == 0 {
		return
	}
	st.emit(results.Record{Metric: metric, Factors: st.factors(more), Trial: st.ID, Round: st.Round, Values: values})
}

// emit sends a record out; the first failure ends the trial later.
func (st *Stage) emit(rec results.Record) {
	if err := st.out.Emit(Event{Record: &rec}); err != nil && st.emitErr == nil {
		st.emitErr = err
	}
}

// Step says what the trial does now, for people.
func (st *Stage) Step(format string, args ...any) {
	_ = st.out.Emit(Event{Step: fmt.Sprintf(format, args...)})
}

// Censored records a duration that a limit cut off.
func (st *Stage) Censored(metric string, more map[string]string, took time.Duration) {
	rec := results.Record{
		Metric: metric, Factors: st.factors(more), Trial: st.ID, Round: st.Round,
		Values: []float64{took.Seconds()}, Over: true,
	}
	st.emit(rec)
}
