package modetest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"viplab/lab/testbed"
	"viplab/lab/testbed/inside"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/ebpf"
	"viplab/modes/snapshot/synth"
)

// Rig is a mode in a topology of its own, for one test.
type Rig struct {
	*trial.Stage
	t *testing.T
}

// NewRig sets a mode up for Services of a Spec. The test is skipped, with the reason,
// where the kernel lacks what the mode needs; the guest's never may lack IPVS, nor one that
// was built what any mode of the lab's own needs.
func NewRig(t *testing.T, m modes.Mode, args modes.Args, spec synth.Spec) *Rig {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	trialSpec := trial.Spec{ID: "test", Mode: m.Name, Args: args, Synth: spec, Testbed: inside.Testbed()}
	st, err := trial.NewStage(catalog.Catalog{m}, trialSpec, []string{self, testbed.RoleProxy}, trial.NewEmitter(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	err = st.SetUp(t.Context())
	_, foreign := catalog.All().Find(m.Name)
	may := inside.Testbed() != testbed.UMLName || !slices.Contains(m.Needs, "ip_vs") && (foreign != nil || !inside.HasAll())
	if modes.IsMissing(err) && may {
		_ = st.TearDown()
		t.Skipf("SKIPPED: mode %s on testbed %s: %v", m.Name, inside.Testbed(), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.TearDown(); err != nil {
			t.Error(err)
		}
	})
	return &Rig{Stage: st, t: t}
}

// Record puts what is recorded from now on in a buffer, as events.
func (b *Rig) Record() *bytes.Buffer {
	var out bytes.Buffer
	b.Say(trial.NewEmitter(&out))
	return &out
}

// Program programs a Snapshot, which is the stage's from then on.
func (b *Rig) Program(s modes.Snapshot) modes.Cost {
	b.t.Helper()
	got, err := b.Sync(b.t.Context(), s)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Snapshot = s
	return got.Cost
}

// State is what the node's kernel holds, as the tools that this machine has tell it,
// without counters.
func (b *Rig) State() string {
	b.t.Helper()
	var out strings.Builder
	err := b.Net.Node.Do(func() error {
		for _, args := range [][]string{
			{"iptables-legacy-save", "-t", "nat"}, {"iptables-legacy-save", "-t", "filter"},
			{"ip6tables-legacy-save", "-t", "nat"}, {"ip6tables-legacy-save", "-t", "filter"}, {"ip", "-6", "route"},
			{"ip", "-o", "addr"}, {"ip", "route"}, {"ip", "rule"},
			// VIPs of mode ipvs are routes; of those by addresses the line before tells, and their order is history.
			{"ip", "route", "show", "table", "local", "scope", "host"}, {"ip", "-6", "route", "show", "table", "local", "type", "local"},
			{"sysctl", "net.ipv4.ip_forward", "net.ipv4.ip_local_port_range", "net.ipv4.conf.all.route_localnet"},
			{"ipset", "list"}, {"ipvsadm", "-Sn"},
		} {
			if _, err := exec.LookPath(args[0]); err != nil {
				continue // what it would show no mode can have made
			}
			if args[0] == "ipvsadm" && !exists("/proc/thread-self/net/ip_vs") {
				continue
			}
			text, err := exec.Command(args[0], args[1:]...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%v: %w %s", args, err, text)
			}
			keep(&out, string(text))
		}
		// What no tool shows the mode itself may.
		text, err := b.Proxier.Dump(b.t.Context())
		keep(&out, text)
		if err == nil && b.Mode == ebpf.Name {
			text, err = attached()
			keep(&out, text)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

// keep leaves out what changes although nothing does: counters, comments and the times
// of addresses.
func keep(out *strings.Builder, text string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			line, _, _ = strings.Cut(line, " [")
			out.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sortedLines is a State without what depends on history.
func sortedLines(s string) string {
	var keep []string
	for line := range strings.Lines(s) {
		// Interface numbers, sizes of sets, and which clients have affinity depend on history.
		if i := strings.Index(line, ": kube-ipvs0"); i >= 0 {
			line = line[i:]
		}
		if !strings.HasPrefix(line, "Size in memory") && !strings.HasPrefix(line, "Header") && !strings.HasPrefix(line, "element affinity-") {
			keep = append(keep, line)
		}
	}
	slices.Sort(keep)
	return strings.Join(keep, "")
}
