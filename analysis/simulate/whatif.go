package simulate

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/montanaflynn/stats"

	"viplab/modes"
)

// Choice is what a value of a mode's parameter would cost.
type Choice struct {
	Value       string  `json:"value"`
	Looked      float64 `json:"rules_looked_at"`
	Jumps       float64 `json:"jumps"`
	FirstPacket float64 `json:"first_packet_seconds"` // mean over Services
	Rules       float64 `json:"rules"`
	FullSync    float64 `json:"full_sync_seconds"`
}

// Choices predicts a mode at every value of a parameter that its model knows of, the
// best first: the least mean first packet, and among equals (within one per cent) the
// fewest rules.
func (c *Calibration) Choices(m modes.Mode, param modes.Param, t modes.Topology) ([]Choice, error) {
	var out []Choice
	for _, v := range param.Values {
		a := modes.Args{param.Name: v}
		p, err := c.Predict(m, a, t)
		if err != nil {
			return nil, err
		}
		n, err := packetsAt(m, a, t, positions("random", t.Count()))
		if err != nil {
			return nil, err
		}
		out = append(out, Choice{v, n[ruleLooked], n[chainJumped], p.FirstPacket.Mean, p.State[modes.CountRules], p.Costs[modes.FullSync]})
	}
	slices.SortFunc(out, func(a, b Choice) int {
		if d := a.FirstPacket/b.FirstPacket - 1; d < -0.01 || d > 0.01 {
			return cmp.Compare(d, 0)
		}
		return cmp.Compare(a.Rules, b.Rules)
	})
	return out, nil
}

// Churn is changes that arrive and a proxy that programs them.
type Churn struct {
	Rate    float64 // changes a second, at random times (Poisson)
	MinSync float64 // seconds between the end of a sync and the start of the next
	Sync    float64 // seconds that a sync takes
	PerSync float64 // seconds more for each change that it programs
}

// Delay is what changes wait for under Churn.
type Delay struct {
	P50 float64 `json:"wait_p50_seconds"`
	P99 float64 `json:"wait_p99_seconds"`
	// Busy is the share of the time that the proxy syncs.
	Busy float64 `json:"busy_share"`
	// KeepsUp is whether the wait did not grow from the first half of the time to
	// the second.
	KeepsUp bool `json:"keeps_up"`
}

// changes is how many changes a Churn is followed for.
const changes = 5000

// Delays plays kube-proxy's bounded-frequency runner: a sync programs all that has
// arrived by its start, and MinSync passes before the next.
func (c Churn) Delays(seed uint64) (Delay, error) {
	rng := rand.New(rand.NewPCG(seed, 0))
	arrivals := make([]float64, changes)
	at := 0.0
	for i := range arrivals {
		at += rng.ExpFloat64() / c.Rate
		arrivals[i] = at
	}
	var delays []float64
	now, busy := 0.0, 0.0
	for i := 0; i < len(arrivals); {
		now = max(now, arrivals[i])
		first := i
		for i < len(arrivals) && arrivals[i] <= now {
			i++
		}
		took := c.Sync + c.PerSync*float64(i-first)
		for _, a := range arrivals[first:i] {
			delays = append(delays, now+took-a)
		}
		now, busy = now+took+c.MinSync, busy+took
	}
	half := len(delays) / 2
	early, err := stats.Mean(delays[:half])
	if err != nil {
		return Delay{}, err
	}
	late, err := stats.Mean(delays[half:])
	if err != nil {
		return Delay{}, err
	}
	d := Delay{Busy: busy / now, KeepsUp: late < 1.5*early+c.Sync}
	slices.Sort(delays)
	d.P50, d.P99 = delays[half], delays[len(delays)*99/100]
	return d, nil
}

// KeepUp is whether a mode keeps up with changes, in one way to write them.
type KeepUp struct {
	Services int     `json:"services"`
	Mode     string  `json:"mode"`
	Update   string  `json:"update"`
	Sync     float64 `json:"sync_seconds"`
	Delay
}

// KeepUp predicts how long changes wait in a mode, with updates that write only
// what changed, and with ones that write everything.
func (c *Calibration) KeepUp(m modes.Mode, a modes.Args, t modes.Topology, rate, minSync float64, seed uint64) ([]KeepUp, error) {
	p, err := c.Predict(m, a, t)
	if err != nil {
		return nil, err
	}
	one, full := p.Costs[modes.EndpointAdd], p.Costs[modes.FullSync]
	if m.Baseline || one == 0 || full == 0 {
		return nil, nil
	}
	var out []KeepUp
	for _, u := range []struct {
		name  string
		churn Churn
	}{
		{"changes", Churn{Rate: rate, MinSync: minSync, Sync: one}},
		{"everything", Churn{Rate: rate, MinSync: minSync, Sync: full}},
	} {
		if m.Model.Apart && u.name == "changes" {
			// Nothing is shared by the changes of one sync but its start.
			u.churn.PerSync = one
		}
		d, err := u.churn.Delays(seed)
		if err != nil {
			return nil, err
		}
		out = append(out, KeepUp{t.Count(), m.Name, u.name, u.churn.Sync, d})
	}
	return out, nil
}
