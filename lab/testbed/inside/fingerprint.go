package inside

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"viplab/modes/ebpf/cgroup"
)

// prints is what a run must leave as it was: name of a thing, its content.
type prints map[string]string

// fingerprint reads the host's mounts, interfaces, addresses, routes, tables of
// rules, sysctls, leftover files, control groups and processes.
func fingerprint() prints {
	p := prints{}
	for _, path := range []string{
		"/proc/self/mountinfo", "/proc/net/route", "/proc/net/fib_trie", "/proc/net/if_inet6",
		"/proc/net/ip_tables_names", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/all/rp_filter",
		"/proc/sys/net/ipv4/ip_local_port_range", "/proc/sys/kernel/modprobe", "/proc/sys/net/netfilter/nf_conntrack_max",
	} {
		b, err := os.ReadFile(path)
		if err != nil {
			b = []byte("cannot be read")
		}
		p[path] = string(b)
	}
	for _, pattern := range []string{"/sys/class/net/*", "/run/netns/*", "/run/xtables.lock", filepath.Join(os.TempDir(), "viplab-*"), "/mnt/*", "/dev/shm/*"} {
		found, _ := filepath.Glob(pattern)
		p[pattern] = strings.Join(found, "\n")
	}
	p["control groups"] = strings.Join(cgroup.Empty(), "\n")
	p["processes"] = strings.Join(ours(), "\n")
	return p
}

// ours lists the processes that a run of this test binary starts.
func ours() []string {
	self, _ := os.Executable()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []string
	for _, d := range dirs {
		exe, err := os.Readlink(filepath.Join(d, "exe"))
		if err != nil || filepath.Base(d) == fmt.Sprint(os.Getpid()) {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(d, "cmdline"))
		if exe == self || strings.Contains(string(line), "init="+self) {
			out = append(out, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return out
}

// compare says what differs, empty if nothing does.
func (p prints) compare(after prints) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		if p[k] != after[k] {
			fmt.Fprintf(&b, "%s\n  before: %s\n  after:  %s\n", k, p[k], after[k])
		}
	}
	return b.String()
}
