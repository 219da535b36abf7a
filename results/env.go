package results

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Env is the machine on which a run took place. A field that could not be
// learnt is empty and named in Unknown.
type Env struct {
	Time        time.Time `json:"time"`
	Host        string    `json:"host_kernel"`
	CPU         string    `json:"cpu"`
	CPUs        int       `json:"cpus"`
	MemoryBytes uint64    `json:"memory_bytes"`
	OS          string    `json:"os"`
	Go          string    `json:"go"`
	Viplab      string    `json:"viplab"`
	Testbed     string    `json:"testbed"`
	Why         string    `json:"testbed_chosen_because"`
	Kernel      string    `json:"testbed_kernel"`
	KernelCPUs  int       `json:"testbed_cpus"`
	// Clock is where short times come from in the testbed; empty, of older runs, is the kernel.
	Clock       string            `json:"testbed_clock,omitempty"`
	Tools       map[string]string `json:"tools"`
	Sysctls     map[string]string `json:"sysctls"`
	LoadAtStart float64           `json:"load_at_start"`
	Unknown     []string          `json:"unknown,omitempty"`
}

// HostEnv learns what it can of this machine.
func HostEnv() Env {
	e := Env{Time: time.Now().UTC(), CPUs: runtime.NumCPU(), Go: runtime.Version(), Tools: map[string]string{}}
	e.Host = KernelRelease()
	if fs, err := procfs.NewDefaultFS(); err == nil {
		if info, err := fs.CPUInfo(); err == nil && len(info) > 0 {
			e.CPU = info[0].ModelName
		}
		if m, err := fs.Meminfo(); err == nil && m.MemTotal != nil {
			e.MemoryBytes = *m.MemTotal * 1024
		}
		if l, err := fs.LoadAvg(); err == nil {
			e.LoadAtStart = l.Load1
		}
	}
	e.OS = osName()
	if e.CPU == "" {
		e.Unknown = append(e.Unknown, "cpu")
	}
	for tool, args := range map[string][]string{
		"iptables-legacy": {"--version"}, "ipset": {"--version"}, "ipvsadm": {"--version"}, "nft": {"--version"},
		"iperf3": {"--version"}, "linux.uml": {"--version"},
	} {
		v, err := toolVersion(tool, args...)
		if err != nil {
			e.Unknown = append(e.Unknown, tool+" version")
			continue
		}
		e.Tools[tool] = v
	}
	return e
}

// KernelRelease is the running kernel's name, empty if it cannot be learnt.
func KernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

// toolVersion is what a tool says of itself or, where it does not (ipvsadm refuses without
// IPVS in the kernel, whatever it is asked), what the package of its name does.
func toolVersion(tool string, args ...string) (string, error) {
	out, err := exec.Command(tool, args...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if out, err = exec.Command("dpkg-query", "-W", "-f=${Version}", tool).Output(); err != nil {
			return "", fmt.Errorf("ask for the version of %s: %w", tool, exit)
		}
		line = "package " + string(out)
	}
	if err == nil && line == "" {
		err = fmt.Errorf("%s says nothing of its version", tool)
	}
	return line, err
}
