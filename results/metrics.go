package results

import (
	"math"
	"slices"
	"strings"
)

// Direction says which values of a metric are better.
type Direction uint8

// Directions. Neither is for what is not good or bad in itself, such as how many
// objects were written, and for metrics that are not known.
const (
	Neither Direction = iota
	More
	Less
)

// Unit is the base unit of a metric's values, as it is written.
type Unit string

// Units.
const (
	None                 Unit = "" // a number of several kinds, or not known
	Count                Unit = "count"
	Ratio                Unit = "ratio"
	Share                Unit = "share" // of one
	Seconds              Unit = "s"
	SecondsPerConnection Unit = "s/connection"
	SecondsPerGigabit    Unit = "s/Gbit"
	Bytes                Unit = "B"
	BitsPerSecond        Unit = "bit/s"
	ConnectionsPerSecond Unit = "connections/s"
	AnswersPerSecond     Unit = "answers/s"
)

// Scaled is a unit in which values are shown: a value divided by Scale is so many
// of Name.
type Scaled struct {
	Name  string
	Scale float64
}

// Scales lists the ways to show values of a unit, the largest first. What a time is
// counted by (a connection, a gigabit) is left to the text beside the value.
func (u Unit) Scales() []Scaled {
	switch u {
	case Seconds, SecondsPerConnection, SecondsPerGigabit:
		return []Scaled{{"s", 1}, {"ms", 1e-3}, {"µs", 1e-6}, {"ns", 1e-9}}
	case Bytes:
		return []Scaled{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}
	case BitsPerSecond:
		return []Scaled{{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"bit/s", 1}}
	case ConnectionsPerSecond, AnswersPerSecond:
		return []Scaled{{"/s", 1}}
	}
	return []Scaled{{"", 1}}
}

// For is the scale in which a value reads best.
func (u Unit) For(v float64) Scaled {
	scales := u.Scales()
	for _, s := range scales {
		if math.Abs(v) >= s.Scale {
			return s
		}
	}
	return scales[len(scales)-1]
}

// In is the scale of a name; the unit itself if it has no such scale.
func (u Unit) In(name string) Scaled {
	scales := u.Scales()
	if i := slices.IndexFunc(scales, func(s Scaled) bool { return s.Name == name }); i >= 0 {
		return scales[i]
	}
	return Scaled{string(u), 1}
}

// Bench is the unit in the Go benchmark text format, in which values are base units too.
// Times are in sec/op, whatever the operation is. (It is what readers make of ns/op, but
// not where the value is 0.)
func (u Unit) Bench() string {
	switch u {
	case Seconds, SecondsPerConnection, SecondsPerGigabit:
		return "sec/op"
	case BitsPerSecond:
		return "bits/s"
	case ConnectionsPerSecond:
		return "conns/s"
	case None:
		return "value"
	}
	return string(u)
}

// Metric is a quantity that the lab measures.
type Metric struct {
	// Name is the key of records.
	Name string
	Unit Unit
	// Better says which values are the better ones.
	Better Direction
	// Compared is whether two runs are compared by it. What describes the run, and
	// what a median says nothing about, is not.
	Compared bool
	// Bench is the benchmark's name in the Go benchmark text format.
	Bench string
	// Meaning is what it is, in a line; docs/definitions.md has the definition.
	Meaning string
}

// FindMetric is the metric of a name. One that this program does not know (of a newer
// or a foreign run) has neither unit nor direction, and ok is false.
func FindMetric(name string) (m Metric, ok bool) {
	all := Metrics()
	if i := slices.IndexFunc(all, func(m Metric) bool { return m.Name == name }); i >= 0 {
		return all[i], true
	}
	return Metric{Name: name, Compared: true, Bench: camel(name)}, false
}

// camel writes an_unknown_metric as AnUnknownMetric.
func camel(name string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == ' ' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// Metrics lists all metrics. Units, directions, names in bench.txt, axes of plots and
// texts of tables follow from this table alone.
func Metrics() []Metric {
	return slices.Concat(updateMetrics(), trafficMetrics(), reuseMetrics(), resourceMetrics(), runMetrics())
}

// updateMetrics are those of programming a node.
func updateMetrics() []Metric {
	return []Metric{
		{SyncFull, Seconds, Less, true, "SyncFull",
			"the whole Snapshot into an empty namespace, until committed"},
		{SyncDelta, Seconds, Less, true, "SyncDelta",
			"one change on top of N Services, until committed"},
		{SyncPhase, Seconds, Less, false, "SyncPhase",
			"a part of a sync"},
		{FirstCorrect, Seconds, Less, true, "FirstCorrect",
			"from the start of a sync until the changed Service is first answered rightly"},
		{InstallSequential, Seconds, Less, true, "InstallSequential",
			"all rules of N Services, one call each"},
		{RuleAppend, Seconds, Less, true, "RuleAppend",
			"one more rule on top of N Services"},
		{PlainInstall, Seconds, Less, true, "PlainInstall",
			"plain rules without Services, one call each"},
		{PlainAppend, Seconds, Less, true, "PlainAppend",
			"one more plain rule on top of so many"},
		{PlainRestore, Seconds, Less, true, "PlainRestore",
			"plain rules, all in one restore"},
		{JumpRestore, Seconds, Less, true, "JumpRestore",
			"many chains with three jumps to each, in one restore"},
		{ChangeDelay, Seconds, Less, true, "ChangeDelay",
			"from the arrival of a change until it is programmed, under churn"},
		{RefreshSeconds, Seconds, Less, true, "Refresh",
			"a full sync beside a steady client"},
	}
}

// trafficMetrics are those of packets, connections and what clients see.
func trafficMetrics() []Metric {
	return []Metric{
		{FirstPacket, Seconds, Less, true, "FirstPacket",
			"round trip of the first packet of a new flow"},
		{EstablishedPacket, Seconds, Less, true, "EstablishedPacket",
			"round trip of a request on an established flow"},
		{NodeSend, Seconds, Less, true, "NodeSend",
			"the call that sends the SYN of a new flow, on the node"},
		{ConnectionsRate, ConnectionsPerSecond, More, true, "Connections",
			"new connections a second, closed loop"},
		{ConnectionCPU, SecondsPerConnection, Less, true, "ConnectionCpu",
			"CPU time for a new connection, of all sides"},
		{Throughput, BitsPerSecond, More, true, "Throughput",
			"bulk data of one TCP stream (iperf3)"},
		{GigabitCPU, SecondsPerGigabit, Less, true, "GigabitCpu",
			"CPU time of the whole machine for a gigabit of bulk data"},
		{TPS, AnswersPerSecond, More, false, "Tps",
			"answered requests a second of a steady client, one value for each 100 ms"},
		{LiveLatency, Seconds, Less, true, "LiveLatency",
			"latency of a steady client beside full syncs, from when a request was due"},
		{LiveService, Seconds, Less, true, "LiveService",
			"the same, from when the request was sent"},
		{LiveStall, Seconds, Less, true, "LiveStall",
			"longest time of a steady client without an answer"},
		{LiveLost, Count, Less, true, "LiveLostRequests",
			"requests of a steady client without an answer"},
		{Evenness, Ratio, Less, true, "ChoiceEvenness",
			"new connections to the busiest endpoint over the mean of all"},
	}
}

// reuseMetrics are those of clients that use local ports again, and of scenarios.
func reuseMetrics() []Metric {
	return []Metric{
		{ReuseConnect, Seconds, Less, true, "ReuseConnect",
			"connect from a local port that was used before"},
		{ReuseSlow, Share, Less, true, "ReuseSlowShare",
			"connects near one second: a SYN was dropped and sent again"},
		{ReuseFailed, Share, Less, true, "ReuseFailedShare",
			"connects that failed"},
		{ReuseStale, Share, Less, true, "ReuseStaleShare",
			"connects answered by a server that should get none"},
		{ReuseRate, ConnectionsPerSecond, More, true, "ReuseConnections",
			"connections a second from ports that were used before"},
		{Scenario, None, Neither, true, "Scenario",
			"a quantity of a scenario's phase"},
		{ScenarioShown, None, Neither, false, "ScenarioShown",
			"a line about the kernel that a scenario wrote down; its value is its number"},
	}
}

// resourceMetrics are those of CPU time, memory and kernel objects.
func resourceMetrics() []Metric {
	return []Metric{
		{CPUSeconds, Seconds, Less, true, "CpuTime",
			"CPU time of a sync, or of the proxy"},
		{ProxyRSS, Bytes, Less, true, "ProxyRss",
			"resident set of the proxy process"},
		{ProxyPeakRSS, Bytes, Less, true, "ProxyPeakRss",
			"the largest resident set of the proxy process"},
		{ToolPeakRSS, Bytes, Less, true, "ToolPeakRss",
			"the largest resident set of a tool that wrote rules"},
		{KernelMemory, Bytes, Less, true, "KernelMemory",
			"growth of the kernel's memory over a full sync"},
		{KernelMemoryPart, Bytes, Less, true, "KernelMemoryPart",
			"the same by kind of memory"},
		{Objects, Count, Neither, false, "Objects",
			"what a sync wrote: rules, other objects, tool calls, bytes"},
	}
}

// runMetrics describe the lab and its machine, not a mode: runs are not compared by them.
func runMetrics() []Metric {
	return []Metric{
		{LabPeakRSS, Bytes, Less, false, "LabPeakRss",
			"the largest resident set of the lab itself during a trial"},
		{TrialSeconds, Seconds, Less, false, "Trial",
			"length of a trial, and of each of its steps"},
		{MachineStep, Seconds, Less, false, "MachineStep",
			"a step of a fixed loop, before and after a trial: the machine's own speed"},
		{HostLoad, Count, Less, false, "HostLoad",
			"load of the machine, in processes, over one minute"},
		{HostSteal, Share, Less, false, "HostStealShare",
			"CPU time of the machine that its hypervisor gave to others"},
	}
}
