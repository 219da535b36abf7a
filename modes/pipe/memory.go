package pipe

import (
	"time"

	"github.com/prometheus/procfs"

	"viplab/modes"
)

// lookEvery is how often the memory of a program's tools is looked at, of which each may live
// for a moment only, however long the program takes.
const lookEvery = 40 * time.Millisecond

// watchTools looks at the memory of the other processes of a program's group until the
// returned function is called, which gives the largest resident set that any had, in
// bytes; 0 if none was seen.
func watchTools(group int) func() int64 {
	return modes.Watch(func(time.Duration) time.Duration { return lookEvery }, func() int64 { return toolMemory(group) })
}

// toolMemory is the largest resident set that a process of a group ever had which runs
// another program than its leader. A child that has not begun its own program yet still
// shows the leader's memory.
func toolMemory(group int) (most int64) {
	all, err := procfs.AllProcs()
	if err != nil {
		return 0 // what cannot be seen is not told
	}
	leader, err := procfs.NewProc(group)
	if err != nil {
		return 0
	}
	program, err := leader.Executable()
	if err != nil {
		return 0
	}
	for _, proc := range all {
		if st, err := proc.Stat(); err != nil || st.PGRP != group {
			continue // ended meanwhile, or somebody else's
		}
		if runs, err := proc.Executable(); err != nil || runs == program {
			continue
		}
		if st, err := proc.NewStatus(); err == nil {
			most = max(most, int64(st.VmHWM))
		}
	}
	return most
}
