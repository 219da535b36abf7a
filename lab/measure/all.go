// Package measure is the measurements of a trial, one file each. Each is a
// [trial.Measurement]: a value with a name, what it needs, and what it does on a
// [trial.Stage]. [All] lists them in the order in which a trial goes through them.
package measure

import (
	"viplab/lab/play"
	"viplab/lab/trial"
)

// All lists the measurements. Those that stop the servers come last.
func All() []trial.Measurement {
	return []trial.Measurement{
		Plain(),
		Install(),
		Append(),
		Packets(),
		Deltas(),
		Connections(),
		Evenness(),
		Reuse(),
		play.Play(),
		Churn(),
		Live(),
		Iperf(),
		Memory(),
	}
}
