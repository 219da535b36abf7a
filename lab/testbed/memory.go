package testbed

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// What a trial takes of memory, in kB: for each port of each Service and endpoint, and beside
// that. At 20000 Services with two endpoints in mode iptables 190 MB for iptables-restore, 180
// for the lab and 60, twice while they are replaced, for the kernel's rules were seen.
const (
	endpointKB = 12
	trialKB    = 256 << 10
)

// Room says, as a [modes.MissingError], that this machine has too little memory for Services
// with so many endpoints on all their ports together. What is not known is no obstacle.
func Room(endpoints int) error {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil
	}
	m, err := fs.Meminfo()
	if err != nil || m.MemAvailable == nil {
		return nil
	}
	return room(endpoints, *m.MemAvailable)
}

func room(endpoints int, availableKB uint64) error {
	need := uint64(trialKB) + uint64(endpoints)*endpointKB
	if need <= availableKB {
		return nil
	}
	return &modes.MissingError{
		Need: fmt.Sprintf("%.1f GB of memory for %d endpoints (Services by ports by endpoints), of which %.1f GB are free", gigabytes(need), endpoints, gigabytes(availableKB)),
		Mend: "fewer Services, ports or endpoints, or another machine",
	}
}

func gigabytes(kB uint64) float64 { return float64(kB) * 1024 / 1e9 }

// oomKills is how many processes this kernel has killed since it booted because memory was
// used up, in its control groups too; 0 if it does not say.
func oomKills() (n uint64) {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ = strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		}
	}
	return n
}

// HowEnded says in words how a command ended that has this exit code.
func HowEnded(code int) string {
	if s := unix.Signal(code - 128); code > 128 && unix.SignalName(s) != "" {
		return fmt.Sprintf("were ended by a signal (%s: %s)", unix.SignalName(s), s)
	}
	return fmt.Sprintf("ended with exit code %d", code)
}

// memoryUsedUp is why a command was killed, nil if its exit code or the count of kills before
// it do not say so.
func memoryUsedUp(code int, before uint64, whose string) error {
	if code != 128+int(unix.SIGKILL) || oomKills() <= before {
		return nil
	}
	return fmt.Errorf("it was killed, because the memory of %s was used up", whose)
}
