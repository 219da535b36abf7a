package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/catalog"
)

// TestTopics: every page of docs/ is a topic, said whole, and stands in the list of them.
func TestTopics(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	list := said(t, "--help")
	for _, path := range pages {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		if !strings.Contains(list, "viplab "+name+" ") {
			t.Errorf("%s is no topic of viplab --help", name)
		}
		if got := said(t, "help", name); got != string(want) {
			t.Errorf("help %s: %d bytes, %s has %d", name, len(got), path, len(want))
		}
	}
}

// TestCompletion: the shells' scripts are made, and complete commands and modes.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if s := said(t, "completion", shell); !strings.Contains(s, "__complete") {
			t.Errorf("completion %s: %.200s", shell, s)
		}
	}
	for args, want := range map[string]string{
		"be":                          "bench",
		"bench --modes ":              "iptables-tree",
		"bench --modes iptables,ip":   "iptables,ipvs",
		"exec --mode nf":              "nftables",
		"bench --testbed ":            "native",
		"scenario rolling":            "rolling-update-drain",
		"explain --modes direct,ebp":  "direct,ebpf",
		"simulate --modes userspace,": "userspace,ipvs",
		"bench --family ipv4,":        "ipv4,dual",
		"exec --family d":             "dual",
		"simulate --family ":          "ipv6",
		"simulate --what c":           "churn",
		"compare --format ":           "markdown",
		"compare --across ker":        "kernel",
		"story --format ":             "json",
		"bench --on-missing ":         "fallback",
		"bench --policy-packets ":     "new",
		"explain --state R":           "RELATED",
		"explain --packet ":           "all",
		"explain --to m":              "middle",
		"help ":                       "bench",
		"help test":                   "testbeds",
		"help kernel b":               "build",
	} {
		fields := strings.Split(args, " ")
		if got := said(t, append([]string{"__complete"}, fields...)...); !strings.Contains(got, want+"\n") && !strings.Contains(got, want+"\t") {
			t.Errorf("completing %q: %q, not %q", args, got, want)
		}
	}
	for args, want := range map[string]string{
		"completion nosuch": "completion: unknown shell \"nosuch\": valid are bash, fish, powershell, zsh", "completion bash x": "bash takes no arguments, got \"x\"",
	} {
		if code, out, errs := run(t, strings.Fields(args)...); code != ExitUsage || out != "" || errs != "viplab: "+want+"\n" {
			t.Errorf("%s: exit %d, %q %q", args, code, out, errs)
		}
	}
	if got := said(t, "__complete", "explain", "--family", ""); strings.Contains(got, string(modes.Dual)) {
		t.Errorf("explain takes one family: %q", got)
	}
}

// said is what a command wrote to stdout; it must succeed.
func said(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := Run(catalog.Known(), args, &out, &errs); code != ExitOK {
		t.Fatalf("%q: exit %d, %s", args, code, errs.String())
	}
	return out.String()
}
