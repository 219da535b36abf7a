// Package results is the record format of the lab: what was measured, with all
// its factors, as JSON lines in a run directory.
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
// any moment.
package results

import (
	"maps"
	"slices"
	"strings"
)

// Schema names the format and its version. A reader refuses other versions.
const Schema = "viplab/1"

// Keys of what is measured. The unit is in the name; times are in seconds.
const (
	SyncFull          = "sync_full_seconds"
	SyncDelta         = "sync_delta_seconds"
	SyncPhase         = "sync_phase_seconds"
	InstallSequential = "install_sequential_seconds"
	RuleAppend        = "rule_append_seconds"
	PlainInstall      = "plain_install_seconds" // rules without Services: one call each
	PlainAppend       = "plain_append_seconds"  // one more on top of so many
	PlainRestore      = "plain_restore_seconds" // all in one restore
	JumpRestore       = "jump_restore_seconds"  // many chains, three jumps to each
	FirstCorrect      = "first_correct_seconds"
	FirstPacket       = "first_packet_seconds"
	EstablishedPacket = "established_packet_seconds"
	NodeSend          = "node_send_seconds" // the call that sends a SYN, from the node
	ConnectionsRate   = "connections_per_second"
	ConnectionCPU     = "cpu_seconds_per_connection"
	GigabitCPU        = "cpu_seconds_per_gigabit"
	Throughput        = "throughput_bits_per_second"
	CPUSeconds        = "cpu_seconds"
	TPS               = "tps" // answered requests a second, one value for each 100 ms
	LiveLatency       = "live_latency_seconds"
	LiveService       = "live_service_seconds" // from the actual sending
	LiveStall         = "live_stall_seconds"
	LiveLost          = "live_lost_requests"
	ReuseConnect      = "reuse_connect_seconds" // from a local port that was used before
	ReuseSlow         = "reuse_slow_share"      // of connects near one second: a dropped SYN
	ReuseFailed       = "reuse_failed_share"
	ReuseStale        = "reuse_stale_share" // answered by a server that should get none
	ReuseRate         = "reuse_connections_per_second"
	Evenness          = "choice_evenness" // share of the busiest endpoint over the mean, in new connections
	Scenario          = "scenario"        // a quantity of a phase, by the factor quantity
	ScenarioShown     = "scenario_shown"  // a line about the kernel, the factor line; its value is its number
	ChangeDelay       = "change_delay_seconds"
	RefreshSeconds    = "refresh_seconds"
	ProxyRSS          = "proxy_rss_bytes"
	ProxyPeakRSS      = "proxy_peak_rss_bytes"
	ToolPeakRSS       = "tool_peak_rss_bytes"
	LabPeakRSS        = "lab_peak_rss_bytes"
	KernelMemory      = "kernel_memory_bytes"
	KernelMemoryPart  = "kernel_memory_part_bytes"
	HostSteal         = "host_steal_share" // of CPU time, taken by other guests of the hypervisor
	HostLoad          = "host_load"        // average of one minute, in processes
	Objects           = "objects"
	TrialSeconds      = "trial_seconds"
)

// Factors of a record.
const (
	Mode         = "mode"
	Services     = "services"
	Endpoints    = "endpoints"
	Ports        = "ports"
	Testbed      = "testbed"
	Position     = "position"           // first, middle, last, random
	Protocol     = "protocol"           // tcp, udp
	From         = "from"               // where a probe starts: client (PREROUTING), node (OUTPUT)
	Change       = "change"             // service-add, ...
	Phase        = "phase"              // read-back, plan, start, encode, commit, rest
	Of           = "of"                 // what CPU or memory or objects were of
	Kind         = "kind"               // of CPU time: user, system, softirq, all; of kernel memory: slab, ...
	Fanout       = "fanout"             // of the tree
	Sync         = "sync"               // how updates are written: partial, rewrite, append
	Scheduler    = "scheduler"          // of mode ipvs
	Bind         = "bind"               // of VIPs in mode ipvs: address, route, alias
	Forward      = "forward"            // of mode ipvs: nat, dr, tunnel; absent if no other was asked for
	Lookup       = "lookup"             // of mode ipvs's iptables: ipset, rules; absent likewise
	Tracking     = "tracking"           // of connections of mode ipvs by conntrack: on, off; absent if no other than on was asked for
	Weights      = "weights"            // of endpoints, in turn: "1:3"; absent for 1 each
	Affinity     = "affinity"           // of Services, a duration; absent for none
	Family       = "family"             // of Services: ipv6, dual; absent for ipv4
	ReuseMode    = "conn_reuse_mode"    // of IPVS
	Expire       = "expire_nodest_conn" // of IPVS
	Conntrack    = "vs.conntrack"       // of IPVS
	ScenarioName = "scenario"
	Quantity     = "quantity"
	Line         = "line"
	RunName      = "run"            // of several runs in one report
	Rules        = "rules"          // of plain rules, how many there are
	Policies     = "policies"       // filter rules that packets cross beside the mode's
	Packets      = "policy-packets" // which packets cross them: new, all
	Backend      = "backend"        // of iptables: legacy, nft
)

// Record is one or more samples of one quantity under one set of factors, taken
// one after another in one trial.
type Record struct {
	Metric  string            `json:"metric"`
	Factors map[string]string `json:"factors"`
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

// Cell is the name of a record's quantity and factors, "metric/factor=value/...",
// with the factors in order.
func (r Record) Cell() string {
	var b strings.Builder
	b.WriteString(r.Metric)
	for _, k := range slices.Sorted(maps.Keys(r.Factors)) {
		b.WriteString("/" + k + "=" + r.Factors[k])
	}
	return b.String()
}

// Begin is the metric of the record that begins a trial. A trial that begins
// again, in a run that was resumed, makes what was recorded of it before void.
const Begin = "begin"

// Done is the metric of the record that ends a trial; it has Err if the trial
// failed. A trial without one was cut off.
const Done = "trial"

// Environment is the metric of a record whose Factors are facts of where the
// trials after it ran (kernel, program, CPU). It has no values. A run whose
// facts differ was resumed somewhere else, or with another program.
const Environment = "environment"
