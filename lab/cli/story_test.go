package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/lab/testbed"
)

const shop = `cluster 10.128.0.0/9
service shop 10.96.70.1 port tcp/80:8080:30700 to 10.128.70.1:9000,10.128.70.2@local
inside: client tcp 10.96.70.1:80 => endpoint 10.128.70.1,10.128.70.2 source kept
a node port: client tcp 10.64.0.1:30700 => endpoint 10.128.70.1,10.128.70.2 source kept
`

// storyFile writes a file of stories.
func storyFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shop.txt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestStory: the exit code says whether all of it held, and the text which did not.
func TestStory(t *testing.T) {
	held := storyFile(t, strings.Replace(shop, "30700 => endpoint 10.128.70.1,10.128.70.2 source kept", "30700 => endpoint 10.128.70.1,10.128.70.2 source node", 1))
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{"story --modes iptables,ipvs,nftables " + held, ExitOK, []string{"a node port", "holds"}},
		{"story --modes iptables,userspace " + held, ExitVerdict, []string{"userspace, tracer: inside: the endpoint saw 10.64.0.1"}},
		{"story --modes iptables " + storyFile(t, shop), ExitVerdict, []string{"NOT", "iptables, tracer: a node port: the endpoint saw 10.64.0.1"}},
		{"story --modes iptables " + storyFile(t, "x\n"), ExitUsage, []string{"shop.txt, line 1"}},
		{"story --modes direct " + held, ExitUsage, []string{"has no Services"}},
		{"story --testbed native " + storyFile(t, strings.ReplaceAll(shop, "10.128.70.1", "192.0.2.1")), ExitUsage, []string{"not at 192.0.2.1"}},
		{"story " + held + "x", ExitUsage, []string{"no such file"}},
		{"story", ExitUsage, []string{"needs a file"}},
	} {
		code, out, errs := run(t, strings.Fields(c.args)...)
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d: %s", c.args, code, c.code, errs)
		}
		for _, want := range c.want {
			if !strings.Contains(out+errs, want) {
				t.Errorf("%s: want %q in %s%s", c.args, want, out, errs)
			}
		}
	}
}

// TestStoryPackets: real packets come to the same as the tracer, at endpoints with ports of
// their own.
func TestStoryPackets(t *testing.T) {
	if err := (testbed.Native{}).Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	code, out, errs := run(t, "story", "--modes", "iptables,userspace", "--testbed", "native", "--trace", "--format", "json", storyFile(t, shop))
	var all []told
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != ExitVerdict {
		t.Fatalf("exit code %d, %v: %s", code, err, errs)
	}
	wrong := map[string]bool{}
	for _, r := range all {
		wrong[r.Way+" "+r.Mode+" "+r.Story] = r.Wrong != ""
	}
	for key, want := range map[string]bool{"iptables inside": false, "iptables a node port": true, "userspace inside": true, "userspace a node port": true} {
		for _, way := range []string{byTracer, byPackets} {
			if got, told := wrong[way+" "+key]; !told || got != want {
				t.Errorf("%s, %s: told %v, wrong %v, want %v", way, key, told, got, want)
			}
		}
	}
}
