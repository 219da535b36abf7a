package ipvs

import "viplab/modes"

// Limits are what the mode cannot do.
func Limits() modes.Limits {
	return modes.Limits{
		modes.StreamControl: "the lab does not program it yet",
		modes.SixthVersion:  "the lab does not program it yet",
	}
}
