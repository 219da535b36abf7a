// Package advice says which variants of a run do better at what, and which cannot be told
// apart: ties are found by the intervals of their medians, never by the medians alone.
//
// [Ask] answers one [Question] at a number of Services, from what was measured there, and
// where nothing was, from a [Forecast], which is marked as such. Reports begin with it, and
// viplab advise is little else.
package advice

import (
	"slices"

	"viplab/analysis/summary"
	"viplab/results"
)

// Question is something that variants are ranked by.
type Question struct {
	// Name is a short one for tables; About begins a sentence, in lower case.
	Name, About string
	Metric      string
	// At are factors of the cells.
	At map[string]string
	// Quantity is the simulation's name of it, empty for what is not simulated.
	Quantity string
}

// Names of questions.
const (
	OneChange   = "a Service added"
	Programming = "everything programmed"
	FirstPacket = "first packet to the last Service"
	Connections = "new connections"
	BulkData    = "bulk data"
)

// Questions lists them. Which values are the better ones, the metric knows. What a mode has
// that serves the node alone is asked for apart: a client elsewhere has a longer way.
func Questions() []Question {
	last := summary.With(nil, results.Position, "last")
	from := func(where string, at map[string]string) map[string]string {
		return summary.With(at, results.From, where)
	}
	return []Question{
		{OneChange, "programming one Service more", results.SyncDelta, summary.With(nil, results.Change, "service-add"), "service-add"},
		{FirstPacket, "the first packet of a connection, to the last Service", results.FirstPacket,
			summary.With(nil, results.Position, "last", results.Protocol, "tcp", results.From, "client"), "first packet"},
		{BulkData, "bulk data through the last Service", results.Throughput, from("", last), ""},
		{BulkData + summary.FromNode, "bulk data through the last Service" + summary.FromNode, results.Throughput, from("node", last), ""},
		{Connections, "new connections a second", results.ConnectionsRate, from("", nil), ""},
		{Connections + summary.FromNode, "new connections a second" + summary.FromNode, results.ConnectionsRate, from("node", nil), ""},
		{Programming, "programming everything", results.SyncFull, nil, "full sync"},
	}
}

// less tells whether a is the better one.
func (q Question) less(a, b float64) bool {
	m, _ := results.FindMetric(q.Metric)
	return a < b == (m.Better == results.Less)
}

// sort puts the better ones first.
func (q Question) sort(list []Entry) {
	slices.SortStableFunc(list, func(a, b Entry) int {
		switch {
		case q.less(a.Value, b.Value):
			return -1
		case q.less(b.Value, a.Value):
			return 1
		}
		return 0
	})
}
