package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/lab/explain"
	"viplab/modes"
)

// testDumps are those of nodes on which the real kube-proxy programmed a few Services.
const testDumps = "../../modes/packet/dump/testdata/kube-proxy/"

func TestExplainRules(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"iptables-1.37.2-4-local.txt", "=> goes to 10.128.3.1:8080, which sees 10.255.255.2 as the sender"},
		{"ipvs-1.37.2-4-local.txt", "1 server look-ups"},
		{"nftables-1.34.4-4-local.txt", "=> goes to 10.128.3.1:8080, which sees 10.255.255.2 as the sender"},
	} {
		code, out, errs := run(t, "explain", "--rules", testDumps+c.args, "--packet", "client tcp 10.111.1.1:80")
		if code != 0 || !strings.Contains(out, c.want) || !strings.Contains(out, "--node-addr says them") {
			t.Errorf("%s: %d, %s%s", c.args, code, out, errs)
		}
	}
	code, out, errs := run(t, "explain", "--rules", testDumps+"nftables-1.37.2-4-local.txt", "--node-addr", "192.0.2.1", "--client", "192.0.2.9",
		"--packet", "client tcp 192.0.2.1:30180", "--packet", "node tcp 10.96.3.10:80", "--format", "json")
	var answers []explain.Answer
	if err := json.Unmarshal([]byte(out), &answers); err != nil || code != 0 || len(answers) != 1 || len(answers[0].Ways) != 2 {
		t.Fatalf("%d, %v: %s%s", code, err, out, errs)
	}
	if w := answers[0].Ways[0]; w.Src.Addr().String() != "192.0.2.9" || w.Rules == 0 || w.Fate == modes.Undecided {
		t.Errorf("%+v", w)
	}
}

func TestExplainRulesBadInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dump")
	if err := os.WriteFile(file, []byte("*nat\n:PREROUTING ACCEPT [0:0]\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	good := testDumps + "iptables-1.37.2-4-local.txt"
	for want, args := range map[string][]string{
		"dump:2: the dump ends inside table nat":              {"--rules", file},
		"no such file":                                        {"--rules", file + "x"},
		"--node-addr is for --rules":                          {"--node-addr", "192.0.2.1"},
		"--rules and --modes exclude each other":              {"--rules", good, "--modes", "ipvs"},
		"--rules and --layout exclude each other":             {"--rules", good, "--layout", "direct"},
		"--rules needs packets that are spelt out":            {"--rules", good, "--packet", "hairpin"},
		"--client: \"x\" is no address":                       {"--rules", good, "--client", "x"},
		"unknown state \"OLD\"":                               {"--rules", good, "--state", "OLD"},
		"the node has no ipv6 address: name one by --node-ad": {"--rules", good, "--node-addr", "192.0.2.1", "--packet", "client tcp [fd00::1]:80"},
	} {
		code, out, errs := run(t, append([]string{"explain"}, args...)...)
		if code != 2 || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: %d, %q, %q: want %s", args, code, out, errs, want)
		}
	}
}
