// Package play plays scenarios: text files of steps that change Services under
// traffic, with what is expected of each mode. A user can write one of their own.
//
//	question Do clients notice when endpoints are replaced one by one?
//	modes iptables ipvs          # all modes, if not given
//	services 20 endpoints 4
//	client inside                # of the cluster's range, or outside
//	traffic 200 fresh            # connections a second, open loop, from fresh ports
//	phase before
//	wait 1s
//	phase during
//	replace 1                    # one endpoint comes, one goes, in one sync
//	wait 300ms
//	phase after
//	wait 1s
//	expect failed during <= 0.01
//	expect stale after <= 0
//
// A step is one value of package-private type step: its name, how it is written, and what
// it does; a quantity likewise. [Usage] lists both for people. [Read] reads a script,
// [Play] is the measurement that plays it on a trial's stage, and [Judge] holds what was
// recorded against what was expected.
package play
