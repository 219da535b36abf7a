package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		"help ":                       "bench",
		"help test":                   "testbeds",
		"help kernel b":               "build",
	} {
		fields := strings.Split(args, " ")
		if got := said(t, append([]string{"__complete"}, fields...)...); !strings.Contains(got, want+"\n") && !strings.Contains(got, want+"\t") {
			t.Errorf("completing %q: %q, not %q", args, got, want)
		}
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
