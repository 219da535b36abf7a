// Package results is the record format of the lab: what was measured, of which
// [Variant], and where in its trial, as JSON lines in a run directory. It also holds the
// table of metrics ([Metrics]): their units, and which values are the better ones.
//
// To read a run, [Open] its directory and range over its Records. A record is one or more
// samples of one metric. What is compared with each other is in its Variant (the mode,
// its arguments, the testbed); where in a trial the samples belong (how many Services,
// which position or kind of change) is in its Factors.
//
// A run directory holds
//
//	config.yaml     what was asked for, resolved
//	env.json        the machine, kernel, testbed and tools, and what could not be learnt
//	samples.jsonl   a schema line, then one record a line
//	summary.json    each cell: median, interval, percentiles, warnings
//	bench.txt       the same samples in the Go benchmark text format
//	report.md, report.html, plots/
//
// samples.jsonl is the source of all that follows it, and is written as the run
// goes: [Writer] appends and [Open] reads a directory whose run was cut off at
// any moment. Runs of earlier formats are read too: see [FirstSchema] and [SecondSchema].
package results

import (
	"maps"
	"slices"
	"strings"
)

// Schema names the format that is written, and its version.
const Schema = "viplab/3"

// Names of metrics; [Metrics] has what each is.
const (
	SyncFull          = "sync_full_seconds"
	SyncDelta         = "sync_delta_seconds"
	SyncPhase         = "sync_phase_seconds"
	InstallSequential = "install_sequential_seconds"
	RuleAppend        = "rule_append_seconds"
	PlainInstall      = "plain_install_seconds"
	PlainAppend       = "plain_append_seconds"
	PlainRestore      = "plain_restore_seconds"
	JumpRestore       = "jump_restore_seconds"
	FirstCorrect      = "first_correct_seconds"
	FirstPacket       = "first_packet_seconds"
	EstablishedPacket = "established_packet_seconds"
	NodeSend          = "node_send_seconds"
	ConnectionsRate   = "connections_per_second"
	ConnectionCPU     = "cpu_seconds_per_connection"
	GigabitCPU        = "cpu_seconds_per_gigabit"
	Throughput        = "throughput_bits_per_second"
	CPUSeconds        = "cpu_seconds"
	TPS               = "tps"
	LiveLatency       = "live_latency_seconds"
	LiveService       = "live_service_seconds"
	LiveStall         = "live_stall_seconds"
	LiveLost          = "live_lost_requests"
	ReuseConnect      = "reuse_connect_seconds"
	ReuseSlow         = "reuse_slow_share"
	ReuseFailed       = "reuse_failed_share"
	ReuseStale        = "reuse_stale_share"
	ReuseRate         = "reuse_connections_per_second"
	Evenness          = "choice_evenness"
	Scenario          = "scenario"
	ScenarioShown     = "scenario_shown"
	ChangeDelay       = "change_delay_seconds"
	RefreshSeconds    = "refresh_seconds"
	ProxyRSS          = "proxy_rss_bytes"
	ProxyPeakRSS      = "proxy_peak_rss_bytes"
	ToolPeakRSS       = "tool_peak_rss_bytes"
	LabPeakRSS        = "lab_peak_rss_bytes"
	KernelMemory      = "kernel_memory_bytes"
	KernelMemoryPart  = "kernel_memory_part_bytes"
	HostSteal         = "host_steal_share"
	HostLoad          = "host_load"
	Objects           = "objects"
	TrialSeconds      = "trial_seconds"
	MachineStep       = "machine_step_seconds"
)

// Factors of a record: where in its trial the samples belong.
const (
	Services     = "services"
	Position     = "position"           // of a Service: first, middle, last, random
	Protocol     = "protocol"           // tcp, udp
	From         = "from"               // where a probe starts: client (PREROUTING), node (OUTPUT)
	Change       = "change"             // service-add, ...; full for a full sync
	Phase        = "phase"              // of a sync: read-back, plan, start, encode, commit, rest; of a scenario
	Of           = "of"                 // what CPU time, memory or objects were of
	Kind         = "kind"               // of CPU time: user, system, softirq, all; of kernel memory: slab, ...
	ReuseMode    = "conn_reuse_mode"    // sysctl of IPVS while ports were used again
	Expire       = "expire_nodest_conn" // likewise
	VSConntrack  = "vs.conntrack"       // likewise
	ScenarioName = "scenario"
	Quantity     = "quantity" // of a scenario
	Line         = "line"     // that a scenario wrote down
	Rules        = "rules"    // of plain rules, how many there are
	Step         = "step"     // of a trial, that its time went into
	Loop         = "loop"     // of the machine's own speed: compute, walk, chase, syscall
)

// Record is one or more samples of one metric, of one variant, at one place of its
// trial, taken one after another.
type Record struct {
	Metric string `json:"metric"`
	// Variant is what the samples are of. It is empty for what describes the machine.
	Variant Variant `json:"variant,omitempty"`
	// Factors say where in the trial the samples belong.
	Factors map[string]string `json:"at,omitempty"`
	Trial   string            `json:"trial"`
	Round   int               `json:"round"`
	Values  []float64         `json:"values,omitempty"`
	// Over is set when the measurement was cut off by a budget: the true value
	// is larger than each of Values.
	Over bool `json:"over,omitempty"`
	// Err says why there is no value.
	Err string `json:"error,omitempty"`
	// Mark, of the record that ends a trial, says why its samples are to be set
	// aside although it ended well: the clock was stepped, for instance.
	Mark string `json:"mark,omitempty"`
}

// Cell is the name of what the record's samples belong to, "metric/key=value/...",
// with the variant's keys first, each part in order.
func (r Record) Cell() string {
	return strings.TrimSuffix(r.Metric+"/"+r.Variant.Key(), "/") + pairs("/", r.Factors)
}

// pairs writes each key and value, in the order of the keys, after a separator.
func pairs(before string, m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b.WriteString(before + k + "=" + m[k])
	}
	return b.String()
}

// Begin is the metric of the record that begins a trial. A trial that begins
// again, in a run that was resumed, makes what was recorded of it before void.
const Begin = "begin"

// Done is the metric of the record that ends a trial; it has Err if the trial
// failed. A trial without one was cut off.
const Done = "trial"

// Ended is the metric of a record of how a run ended before all of its trials: Err says
// why. The last one counts, and only while trials are missing.
const Ended = "ended"

// Environment is the metric of a record whose Factors are facts of where the
// trials after it ran (kernel, program, CPU). It has no values. Its Variant says which
// trials it is about, if not all. A run whose facts differ was resumed somewhere else,
// or with another program.
const Environment = "environment"
