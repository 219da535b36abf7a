package ipvs

import "viplab/modes"

// Limits are what the mode cannot do.
func Limits() modes.Limits {
	return modes.Limits{}
}
