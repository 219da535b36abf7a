package pipe

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// lookEvery is how often the memory of a program's tools is looked at.
const lookEvery = 20 * time.Millisecond

// watchTools looks at the memory of a process' children, and theirs, until the returned
// function is called, which gives the largest resident set that any had, in bytes; 0 if
// none was seen.
func watchTools(pid int) func() int64 {
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		var most int64
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-tick.C:
				most = max(most, childrenMemory(pid))
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-peak
	}
}

// childrenMemory is the largest resident set that a process below another ever had.
func childrenMemory(pid int) (most int64) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread ended
		}
		for word := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				continue
			}
			if proc, err := procfs.NewProc(child); err == nil {
				if st, err := proc.NewStatus(); err == nil {
					most = max(most, int64(st.VmHWM))
				}
			}
			most = max(most, childrenMemory(child))
		}
	}
	return most
}
