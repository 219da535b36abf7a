// Package trial runs one trial: one mode, one size, one round, in the testbed
// that the process is already in (namespaces of this kernel, or a guest).
//
// A trial builds the topology, programs the Snapshot, proves that the mode
// forwards rightly, and only then measures. What it measures leaves as [Event]s,
// one JSON line each, for the process outside to record.
package trial

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"viplab/modes"
	"viplab/modes/snapshot/synth"
	"viplab/results"
)

// Spec is one trial.
type Spec struct {
	ID    string     `json:"id"`
	Mode  string     `json:"mode"`
	Round int        `json:"round"`
	Synth synth.Spec `json:"synth"`
	// Input says that the Services are a user's own, nil for synthetic ones. Of Synth
	// their number and family hold, and the seed.
	Input *Input `json:"input,omitempty"`
	// Args are the mode's arguments; one that is absent has its default.
	Args modes.Args `json:"args,omitempty"`
	// Policies is how many filter rules stand beside the mode's, and PolicyPackets
	// which packets cross them; factors of records if PolicyPackets is not empty.
	Policies      int    `json:"policies,omitempty"`
	PolicyPackets string `json:"policy_packets,omitempty"`
	// Testbed and, of its guest, Kernel and number of CPUs (0 is 1) are part of every
	// record's variant.
	Testbed string `json:"testbed"`
	Kernel  string `json:"kernel,omitempty"`
	CPUs    int    `json:"cpus,omitempty"`
	Plan    Plan   `json:"plan"`
	// Syncs is about how long its full syncs take, and to install everything by one call an
	// object, where that is known to be long: for forecasts.
	Syncs time.Duration `json:"-"`
}

// Plan says how much to measure. A zero leaves the measurement out.
type Plan struct {
	FullSyncs int           `json:"full_syncs" yaml:"full_syncs"` // at least 1
	Deltas    int           `json:"deltas" yaml:"deltas"`         // of each kind of change
	Packets   int           `json:"packets" yaml:"packets"`       // first packets by position and protocol
	Warmup    int           `json:"warmup" yaml:"warmup"`         // packets discarded before
	Connect   time.Duration `json:"connect" yaml:"connect"`       // closed loop of connections
	Workers   int           `json:"workers" yaml:"workers"`       // of that loop
	Iperf     time.Duration `json:"iperf" yaml:"iperf"`           // for each position
	// Live is how long a steady client runs beside periodic full syncs.
	Live time.Duration `json:"live" yaml:"live"`
	// ChurnRate changes a second arrive for Churn; syncs keep MinSync between
	// the end of one and the start of the next.
	ChurnRate float64       `json:"churn_rate" yaml:"churn_rate"`
	Churn     time.Duration `json:"churn" yaml:"churn"`
	MinSync   time.Duration `json:"min_sync" yaml:"min_sync"`
	// SyncLimit bounds one Sync, 0 for no limit.
	SyncLimit time.Duration `json:"sync_limit" yaml:"sync_limit"`
	// Reuse measures clients that reuse local ports, in modes with settings that matter
	// to them.
	Reuse bool `json:"reuse" yaml:"reuse"`
	// Script is a scenario to play, as its player reads it.
	Script json.RawMessage `json:"script,omitempty" yaml:"-"`
	// TimeTravel says that what computes takes no time here, so that no cost is recorded.
	TimeTravel bool `json:"time_travel,omitempty" yaml:"time-travel,omitempty"`
	// Plain lists numbers of plain rules to time iptables itself with.
	Plain []int `json:"plain" yaml:"plain"`
	// Install bounds an installation by one call an object.
	Install time.Duration `json:"install" yaml:"install"`
}

// Event is what a trial says while it runs. Exactly one field is set.
type Event struct {
	// Start is the ID of the trial that begins.
	Start string `json:"start,omitempty"`
	// Step is what the running trial does now, for people.
	Step   string          `json:"step,omitempty"`
	Record *results.Record `json:"record,omitempty"`
	Env    *Env            `json:"env,omitempty"`
}

// Env is what only the inside of a testbed can tell of itself.
type Env struct {
	Kernel  string            `json:"kernel"`
	CPUs    int               `json:"cpus"`
	Sysctls map[string]string `json:"sysctls"`
	// Clock is where short times come from there, see [clock.Source].
	Clock string `json:"clock"`
}

// Job is the input of the process inside the testbed.
type Job struct {
	Trials []Spec `json:"trials"`
	// ProxyCommand starts the userspace proxy there.
	ProxyCommand []string `json:"proxy_command"`
	// Services are a user's own, for trials with an Input; nil where there are none.
	Services *modes.Snapshot `json:"services,omitempty"`
	// Guest is set where the testbed's kernel ends with the job, and all that it holds: the
	// last trial then need not take down what it programmed.
	Guest bool `json:"guest,omitempty"`
}

// Emitter writes events, one JSON line each.
type Emitter struct {
	w    io.Writer
	sync func() error
}

// NewEmitter makes an Emitter. A writer that has a Sync method is synced after
// every event, so that a guest that dies has lost nothing that was said.
func NewEmitter(w io.Writer) *Emitter {
	e := &Emitter{w: w}
	if s, ok := w.(interface{ Sync() error }); ok {
		e.sync = s.Sync
	}
	return e
}

// Emit writes one event.
func (e *Emitter) Emit(ev Event) error {
	b, err := json.Marshal(ev)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if _, err := e.w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	if e.sync != nil {
		_ = e.sync() // a pipe cannot be synced, and need not be
	}
	return nil
}
