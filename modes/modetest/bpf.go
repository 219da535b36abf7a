package modetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	bpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ownGroup matches the names of the control groups that mode ebpf makes.
var ownGroup = regexp.MustCompile(`viplab-ebpf-\d+`)

// attached is what BPF has in the kernel for this process beside the content of maps: how
// many objects it holds, what runs on each link of the thread's node, the control group.
func attached() (string, error) {
	text := openObjects()
	links, err := netlink.LinkList()
	if err != nil {
		return "", err
	}
	for _, l := range links {
		name := l.Attrs().Name
		for _, at := range []bpf.AttachType{bpf.AttachTCXIngress, bpf.AttachTCXEgress} {
			got, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: at})
			if errors.Is(err, unix.EINVAL) {
				continue // before 6.6 there are filters only
			}
			if err != nil {
				return "", fmt.Errorf("ask for programs of %s: %w", name, err)
			}
			text += fmt.Sprintf("%s %s: %d programs\n", name, at, len(got.Programs))
		}
		qdiscs, err := netlink.QdiscList(l)
		if err != nil {
			return "", fmt.Errorf("list queueing disciplines of %s: %w", name, err)
		}
		for _, q := range qdiscs {
			text += fmt.Sprintf("%s has queueing discipline %s\n", name, q.Type())
		}
		for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
			filters, err := netlink.FilterList(l, parent)
			if err != nil && len(qdiscs) > 1 {
				return "", fmt.Errorf("list filters of %s: %w", name, err)
			}
			text += fmt.Sprintf("%s has %d filters\n", name, len(filters))
		}
	}
	group, err := os.ReadFile("/proc/self/cgroup")
	return text + ownGroup.ReplaceAllString(string(group), "viplab-ebpf-N"), err
}

// openObjects counts the BPF objects that this process holds, by kind.
func openObjects() string {
	n := map[string]int{}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.Contains(to, "bpf") {
			n[to]++
		}
	}
	return fmt.Sprintln("open BPF objects:", n)
}
