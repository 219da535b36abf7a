package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"viplab/analysis/advice"
	"viplab/analysis/simulate"
	"viplab/lab/explain"
	"viplab/lab/testbed"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/snapshot/kube/kubetest"
	"viplab/results"
)

// clusterFile writes a cluster of some Services as kubectl prints it.
func clusterFile(t *testing.T, services int) string {
	t.Helper()
	var b bytes.Buffer
	if err := (kubetest.Spec{Services: services, Seed: 1}).Write(&b, kubetest.YAML); err != nil {
		t.Fatal(err)
	}
	return write(t, "cluster.yaml", b.String())
}

// write writes a file of a test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const oneService = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  clusterIP: 10.96.0.10
  ports: [{port: 80, targetPort: http, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.1.0.1], nodeName: here}, {addresses: [10.1.0.2], nodeName: elsewhere}]
`

// inSix is the text of a cluster as oneService with addresses of IPv6.
func inSix(text string) string {
	return strings.NewReplacer("10.96.0.10", "'fd00:1::10'", "10.1.0.1", "'fd00:2::1'", "10.1.0.2", "'fd00:2::2'", "192.0.2.1", "'2001:db8::1'",
		"IPv4", "IPv6").Replace(text)
}

// TestExplainFrom: any packet through a user's own Services.
func TestExplainFrom(t *testing.T) {
	file := write(t, "one.yaml", oneService)
	args := []string{"explain", "--from", file, "--node", "here", "--cluster-cidr", "10.1.0.0/16", "--format", "json", "--modes", "iptables,ipvs,nftables"}
	packets := map[string]struct {
		to, seen string
		fate     modes.Fate
	}{
		"client tcp 10.96.0.10:80":    {"10.1.0.1:8080", "10.64.0.1", modes.ToEndpoint},
		"client tcp 192.0.2.1:80":     {"10.1.0.1:8080", "10.255.255.2", modes.ToEndpoint},
		"client tcp 10.64.0.1:30080":  {"10.1.0.1:8080", "10.255.255.2", modes.ToEndpoint},
		"10.1.0.2 tcp 10.96.0.10:80":  {"10.1.0.1:8080", "10.1.0.2", modes.ToEndpoint},
		"client udp 192.0.2.1:80":     {"", "", modes.Unchanged},
		"client tcp [2001:db8::1]:80": {"", "", modes.Unchanged},
	}
	for p := range packets {
		args = append(args, "--packet", p)
	}
	code, out, errs := run(t, args...)
	var answers []explain.Answer
	if err := json.Unmarshal([]byte(out), &answers); err != nil || code != ExitOK {
		t.Fatalf("exit code %d, %v: %s", code, err, errs)
	}
	for _, a := range answers {
		for _, w := range a.Ways {
			want := packets[w.Case]
			if a.Mode == "ipvs" && w.Case == "client udp 192.0.2.1:80" {
				want.fate = modes.Refused // the address is the node's own there
			}
			if w.Fate != want.fate || want.to != "" && (w.To.String() != want.to || w.Seen.String() != want.seen) {
				t.Errorf("%s, %s: %s %s seen as from %s, want %v", a.Mode, w.Case, w.Fate, w.To, w.Seen, want)
			}
		}
		if len(a.Ways) != len(packets) {
			t.Errorf("%s: %d ways", a.Mode, len(a.Ways))
		}
	}
}

// TestExplainFromArgs: what an argument of a mode cannot serve is left out there, by name.
func TestExplainFromArgs(t *testing.T) {
	file := write(t, "one.yaml", oneService)
	for args, want := range map[string]int{
		"--modes ipvs": 0, "--modes ipvs --lookup rules": 1, "--modes iptables --lookup rules": 0, "--modes ebpf": 0,
	} {
		code, out, errs := run(t, append(strings.Fields("explain --format json --from "+file), strings.Fields(args)...)...)
		var answers []explain.Answer
		if err := json.Unmarshal([]byte(out), &answers); err != nil || code != ExitOK || len(answers) != 1 {
			t.Fatalf("%s: exit code %d, %v: %s", args, code, err, errs)
		}
		left := answers[0].LeftOut
		if len(left) != want || want > 0 && !strings.Contains(left[0], "cannot serve shop/web: ExternalIP: without ipsets") {
			t.Errorf("%s: left out %q", args, left)
		}
	}
}

// TestFromBadInput: one sentence that names what is wrong, exit code 2.
func TestFromBadInput(t *testing.T) {
	file := write(t, "one.yaml", oneService)
	for want, args := range map[string]string{
		"no such file": "explain --from nowhere.yaml",
		"--from and --services exclude each other":              "explain --services 4 --from " + file,
		"node \"moon\" runs no endpoint":                        "explain --node moon --from " + file,
		"there is no Service shop/gone":                         "explain --to shop/gone --from " + file,
		"cluster range \"x\" is no range":                       "explain --cluster-cidr x --from " + file,
		"are of one family":                                     "explain --cluster-cidr 10.0.0.0/8,10.1.0.0/16 --from " + file,
		"that a proxy serves, of 1: Service shop/web: headless": "explain --from " + write(t, "headless.yaml", strings.Replace(oneService, "10.96.0.10", "None", 1)),
		"cut.yaml, line ":                                       "explain --from " + write(t, "cut.yaml", oneService[:len(oneService)-30]),
		"that a proxy serves, of 0: Pod default/p":              "explain --from " + write(t, "pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"),
	} {
		code, _, errs := run(t, strings.Fields(args)...)
		if code != ExitUsage || !strings.Contains(errs, want) || !strings.HasPrefix(lastLine(errs), "viplab: ") {
			t.Errorf("%s: exit code %d, want %q: %s", args, code, want, errs)
		}
	}
	if code, _, errs := run(t, "explain", "--packet", "client tcp 10.96.0.1"); code != ExitUsage || !strings.Contains(errs, "is no destination") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// lastLine is the last line of a text.
func lastLine(s string) string {
	s = strings.TrimSuffix(s, "\n")
	return s[strings.LastIndex(s, "\n")+1:]
}

// TestFromSizes: a user's cluster is taken as multiples, by flag and configuration key.
func TestFromSizes(t *testing.T) {
	file, outer := clusterFile(t, 40), write(t, "one.yaml", oneService)
	code, out, errs := run(t, "simulate", "--from", file, "--services", "1x,4x", "--modes", "iptables,ipvs", "--format", "json")
	var got struct{ Predictions []simulate.Prediction }
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != ExitOK || len(got.Predictions) != 4 {
		t.Fatalf("exit code %d, %v: %s", code, err, errs)
	}
	one, four := got.Predictions[0], got.Predictions[2]
	if four.Services != 4*one.Services || one.State[modes.CountRules] >= four.State[modes.CountRules] {
		t.Errorf("once %d services, four times %d", one.Services, four.Services)
	}
	for _, want := range []string{"not used: ", "headless", "addresses replaced: ", "172.20.0."} {
		if !strings.Contains(errs, want) {
			t.Errorf("want %q in %s", want, errs)
		}
	}
	out2 := t.TempDir()
	config := write(t, "bench.yaml", "from: "+file+"\nservices: [1y]\n")
	for want, args := range map[string]string{
		"multiples such as 4x are of a cluster":                   "simulate --services 4x",
		"--services are multiples with --from":                    "simulate --services 4 --from " + file,
		"--from and --check exclude each other":                   "simulate --check 4 --from " + file,
		"--services are multiples with --from, such as":           "bench --services 4 --from " + file,
		"--from and --endpoints exclude each other":               "bench --endpoints 4 --from " + file,
		"multiples such as 2x are of a cluster":                   "bench --services 2x",
		"numbers and multiples of a cluster exclude each other":   "bench --services 1x,4 --from " + file,
		"a cluster is taken 1 to 1000 times, got 0x":              "bench --services 0x --from " + file,
		"4x is given twice":                                       "bench --services 4x,4x --from " + file,
		"needs endpoints on the Service's own port":               "bench --modes ipvs --forward dr --from " + file,
		"left that all of [iptables ipvs lookup=rules] can serve": "bench --modes iptables,ipvs --lookup rules --from " + outer,
		"there is no Service for mode ipvs":                       "exec --mode ipvs --lookup rules --from " + outer + " -- ls",
		"services out of --from have one, or dual":                "bench --family ipv4,ipv6 --from " + file,
		"\"1y\" is no number of Services, nor a multiple of a cl": "bench --config " + config,
		"node \"moon\" runs no endpoint":                          "bench --node moon --out " + filepath.Join(out2, "run") + " --from " + file,
	} {
		code, _, errs := run(t, strings.Fields(args)...)
		if code != ExitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, want %q: %s", args, code, want, errs)
		}
	}
	if left, err := os.ReadDir(out2); err != nil || len(left) > 0 {
		t.Errorf("bad input leaves %v", left)
	}
}

// TestSimulateFamily: a cluster of one family is simulated in it, one of both in that which
// is asked for.
func TestSimulateFamily(t *testing.T) {
	six := inSix(oneService)
	only, both := write(t, "six.yaml", six), write(t, "both.yaml", oneService+"---\n"+strings.ReplaceAll(six, "web", "six"))
	for args, want := range map[string]string{
		"--from " + only:                    "fd00:1::10 -> ",
		"--from " + only + " --family ipv6": "fd00:1::10 -> ",
		"--from " + both:                    "Service shop/six: its part of ipv6: only ipv4 was asked for",
		"--from " + both + " --family ipv6": "Service shop/web: its part of ipv4: only ipv6 was asked for",
		"--services 700 --family ipv6":      "",
	} {
		code, out, errs := run(t, append([]string{"simulate", "--modes", "iptables,iptables-tree,nftables,ebpf"}, strings.Fields(args)...)...)
		six := strings.HasPrefix(out, "Services of ipv6; ")
		if code != ExitOK || !strings.Contains(errs, want) || !strings.Contains(out, "iptables-tree") || six == (args == "--from "+both) {
			t.Errorf("%s: exit %d, want %q: %s%s", args, code, want, errs, out)
		}
	}
	for args, want := range map[string]string{
		"--family dual":                "what is simulated is of ipv4 or ipv6",
		"--family ipv4 --from " + only: "no Service of ipv4 is left",
	} {
		if code, _, errs := run(t, append([]string{"simulate"}, strings.Fields(args)...)...); code != ExitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, want %q: %s", args, code, want, errs)
		}
	}
}

// TestBenchFrom: a run of a user's own cluster keeps what it needs to be run again.
func TestBenchFrom(t *testing.T) {
	if err := (testbed.Native{}).Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	runs := filepath.Join(t.TempDir(), "runs")
	file, dir := clusterFile(t, 30), filepath.Join(runs, "run")
	args := []string{"bench", "--from", file, "--modes", "iptables", "--repeat", "1", "--duration", "100ms", "--testbed", "native", "--progress", "none", "--out"}
	if code, _, errs := run(t, append(args, dir)...); code != ExitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := os.Symlink(t.TempDir(), again); err != nil { // elsewhere, as on another disk
		t.Fatal(err)
	}
	if code, _, errs := run(t, "bench", "--config", filepath.Join(dir, "config.yaml"), "--progress", "none", "--out", again); code != ExitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var variants []string
	for _, d := range []string{dir, again} {
		r, err := results.Open(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range r.Records {
			if v := rec.Variant; v.Mode() != "" && !slices.Contains(variants, v.Key()) {
				variants = append(variants, v.Key())
			}
		}
	}
	if len(variants) != 1 || !strings.Contains(variants[0], "input=cluster.yaml@") {
		t.Errorf("variants %v", variants)
	}
	if err := results.NameRun(runs, "run", "mine", false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"run", "mine", results.LatestLink} {
		if code, _, errs := run(t, "bench", "--resume", filepath.Join(runs, name), "--progress", "none"); code != ExitOK {
			t.Errorf("resume %s: exit code %d: %s", name, code, errs)
		}
	}
	for _, link := range []string{"mine", results.LatestLink} {
		if to, err := os.Readlink(filepath.Join(runs, link)); to != "run" {
			t.Errorf("after it was gone on with by that, %s leads to %q, %v", link, to, err)
		}
	}
	copied := filepath.Join(dir, "input", "cluster.yaml")
	if err := os.WriteFile(copied, []byte(oneService), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(t, "bench", "--resume", dir, "--progress", "none"); code != ExitUsage || !strings.Contains(errs, "was changed") {
		t.Errorf("resume with another input: exit code %d: %s", code, errs)
	}
}

// TestAdviseFrom: a user's own Services are counted, and what a mode lacks for them is said.
func TestAdviseFrom(t *testing.T) {
	file := write(t, "one.yaml", oneService)
	t.Chdir(t.TempDir()) // where there is no latest run
	var got struct {
		Services int
		Refused  []struct {
			Mode            string
			Services, Total int
		}
		Standings []struct {
			Question string
			Unplaced []struct{ Mode string }
		}
	}
	if err := json.Unmarshal([]byte(said(t, "advise", "--json", "--from", file)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Services != 1 || len(got.Refused) != 1 || got.Refused[0].Mode != "userspace" || got.Refused[0].Services != 1 || got.Refused[0].Total != 1 {
		t.Errorf("%d Services, refused %+v: want 1, which userspace alone refuses for its policy Local", got.Services, got.Refused)
	}
	for _, s := range got.Standings {
		for _, e := range s.Unplaced {
			if e.Mode == "userspace" {
				t.Errorf("%s: userspace stands there, which cannot serve it", s.Question)
			}
		}
	}
	if len(got.Standings) == 0 {
		t.Error("nothing was simulated")
	}
	var out, errs bytes.Buffer
	if code := Run(catalog.Known(), []string{"advise", "--from", file, "--services", "5"}, &out, &errs); code != ExitUsage {
		t.Errorf("--from and --services: exit %d, %s", code, errs.String())
	}
}

// TestAdviseFamily: a family's rules are its own: those of IPv4 are simulated, or, where there
// are none, those of IPv6.
func TestAdviseFamily(t *testing.T) {
	six := inSix(oneService)
	for text, want := range map[string]modes.Family{
		oneService: modes.IPv4, six: modes.IPv6, oneService + "---\n" + strings.ReplaceAll(six, "web", "six"): modes.IPv4,
	} {
		var in advice.Input
		var cmd cobra.Command
		cmd.SetErr(io.Discard)
		if err := (&clusterFlags{from: write(t, "cluster.yaml", text)}).advise(&cmd, &in); err != nil || in.Topology == nil {
			t.Fatalf("%s: %v", want, err)
		}
		if got := modes.FamilyOf(in.Topology.VIP(0)); got != want || in.Services != 1 {
			t.Errorf("%d Services of %s, want one of %s", in.Services, got, want)
		}
	}
}
