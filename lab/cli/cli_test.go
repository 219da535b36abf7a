package cli

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"viplab/lab/roles"
	"viplab/lab/session"
	"viplab/modes/catalog"
)

// asProgram makes this test binary the program itself.
const asProgram = "VIPLAB_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	roles.Dispatch(append(known(), dying()))
	if os.Getenv(asProgram) != "" {
		os.Exit(Run(known(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(catalog.All(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// badInput is command lines by a part of what is said of them.
var badInput = map[string]string{
	"services must be 1 to":             "bench --services 0",
	"services must be 1":                "bench --services -5",
	"\"many\" is no number of Services": "bench --services many",
	"--repeat must be a whole number":   "bench --repeat x",
	"--seed must be a whole number of":  "bench --seed -1",
	"--duration must be a duration":     "bench --duration 5",
	"--churn must be a number, got":     "bench --churn much",
	"--modes names none":                "explain --modes=",
	"--kernel names none":               "scenario --kernel= rolling-update",
	"unknown testbed \"moon\"":          "reproduce --testbed moon R1",
	"unknown testbed \"luna\"":          "scenario --testbed luna rolling-update",
	"services must":                     "bench --services 5000000",
	"given twice":                       "bench --services 7,7",
	"exclude each other":                "bench --services 7 --up-to 9",
	"unknown mode \"ipvx\": valid are":  "bench --modes ipvx",
	"ipvs is given twice":               "bench --modes ipvs,ipvs",
	"its name, got 1 argument\n":        "runs name x",
	"no command and no page \"nosuch\"": "help nosuch",
	"no page \"kernel nosuch\"":         "help kernel nosuch",
	"advise takes one run":              "advise a b",
	"changes must be a number":          "advise --changes NaN",
	"budget must not be negative":       "advise --budget -1s",
	"nothing was measured on kernel":    "advise --kernel 7.3",
	"unknown testbed \"mars\": valid":   "bench --testbed mars",
	"unknown progress":                  "bench --progress loud",
	"unknown flag":                      "bench --speed 9",
	"bench takes no arguments":          "bench now",
	"no such file":                      "bench --config nowhere.yaml",
	"unknown fanout \"7\": valid are 2": "bench --fanout 7",
	"unknown command":                   "benhc",
	"report takes at least one run":     "report",
	"does not start with two numbers":   "kernel build seven",
	"kernel build takes one version":    "kernel build 6.1 6.12",
	"Debian's source is named by two":   "kernel build 6.12.3",
	"find kernel source":                "kernel build --source nowhere",
	"no such kernel was built":          "kernel remove ../other",
	"of kernel: valid are build":        "kernel bild",
	"is no run directory: it has no":    "report .",
	"there is no run \"nowhere1\"":      "report nowhere1",
	"compare takes one or two":          "compare a b c",
	"unknown format":                    "compare a b --format xml",
	"--json and --format text exclude":  "compare a b --json --format text",
	"fail-above must be":                "compare a b --fail-above lots",
	"unknown packet":                    "explain --packet lost",
	"there is no service 9":             "explain --to 9",
	"there is no endpoint":              "explain --endpoint 2",
	"with forward=dr packets go on as":  "explain --modes ipvs --forward dr",
	"ipvs cannot be followed without":   "explain --forward tunnel --packet node",
	"policies must be 0 to 130000":      "bench --policies 200000",
	"unknown policy-packets":            "bench --policy-packets some",
	"unknown question":                  "simulate --what else",
	"check needs":                       "simulate --check 10",
	"there is no run \"nowhere2\"":      "simulate --calibrate nowhere2",
	"unknown target":                    "reproduce R99",
	"reproduce needs a target":          "reproduce",
	"unknown on-missing":                "bench --on-missing cry",
	"needs a testbed by name":           "bench --on-missing skip",
	"unknown scheduler":                 "bench --scheduler best",
	"unknown forward":                   "bench --forward pigeon",
	"is for mode ipvs":                  "bench --modes iptables --forward dr",
	"tunnel is for family ipv4":         "bench --forward tunnel --family ipv6",
	"unknown lookup":                    "bench --lookup everywhere",
	"unknown family":                    "explain --family ipx",
	"affinity must be":                  "bench --affinity 48h",
	"weights must be":                   "bench --weights 0",
	"unknown scenario":                  "scenario nothing-like-it",
	"scenario needs a name":             "scenario",
	"doctor takes no arguments":         "doctor me",
	"repeat must be":                    "bench --repeat 0",
	"endpoints must be":                 "bench --endpoints 0",
	"there is no run \"nowhere3\"":      "bench --resume nowhere3",
	"cannot be given with it":           "bench --resume nowhere --services 5",
	"unknown sync":                      "bench --sync backwards",
	"unknown backend":                   "bench --backend xdp",
	"do not fit":                        "bench --services 1000000 --endpoints 250",
}

// TestBadInput: one clear sentence on stderr, exit code 2, and nothing made.
func TestBadInput(t *testing.T) {
	old := oldRun(t)
	dir := t.TempDir()
	t.Chdir(dir)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte("servises: [1]\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cases := maps.Clone(badInput)
	maps.Copy(cases, map[string]string{
		"is a file, not a folder":       "bench --out " + file,
		"is a file, not a folder of":    "runs prune --dir " + file,
		"cannot be made":                "bench --out " + file + "/below",
		"is not empty":                  "bench --out " + dir,
		"field servises is not known":   "bench --config " + config,
		"is no run directory":           "report " + dir,
		"reads but does not go on with": "bench --resume " + old,
		"a moon to compare across":      "compare --across moon " + old + " " + old,
	})
	for want, args := range cases {
		code, stdout, stderr := run(t, strings.Fields(args)...)
		if code != ExitUsage || !strings.Contains(stderr, want) || stdout != "" || strings.Count(strings.TrimSpace(stderr), "\n") > 1 {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("bad input left %v (%v)", entries, err)
	}
}

// TestFlagsRefuse: whatever kind a flag's value is of, what does not fit is refused in the
// lab's words, by every command.
func TestFlagsRefuse(t *testing.T) {
	seen := map[string]bool{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if kind := f.Value.Type(); kind == "string" || kind == "stringArray" {
				return
			}
			seen[f.Value.Type()] = true
			bad := `x"y`
			err := cmd.ParseFlags([]string{"--" + f.Name + "=" + bad})
			if err == nil {
				t.Errorf("%s --%s takes %s", cmd.Name(), f.Name, bad)
				return
			}
			said := flagError(err).Error()
			if !strings.Contains(said, f.Name) || !strings.Contains(said, strconv.Quote(bad)) || strings.Contains(said, "pars") {
				t.Errorf("%s: %s", cmd.Name(), said)
			}
		})
	}
	walk(app{modes: catalog.All()}.rootCommand())
	for _, kind := range []string{"int", "intSlice", "stringSlice", "bool", "duration", "float64", "uint64"} {
		if !seen[kind] {
			t.Errorf("no flag is of kind %s any more", kind)
		}
	}
}

// TestFullStdout: what cannot be written is an error of every command.
func TestFullStdout(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("SKIPPED: a stream that takes nothing: %v", err)
	}
	defer full.Close()
	for _, args := range []string{"version", "modes", "help testbeds", "scenario --list", "explain --modes ipvs", "bench --help"} {
		var errs bytes.Buffer
		if code := Run(catalog.All(), strings.Fields(args), full, &errs); code != ExitFailure || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("%s: exit %d, %q", args, code, errs.String())
		}
	}
}

// oldRun is a run directory of the first format.
func oldRun(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../results/testdata/viplab-1")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestOldRun: what an older viplab measured is still reported, compared and simulated
// with.
func TestOldRun(t *testing.T) {
	old := oldRun(t)
	t.Chdir(t.TempDir())
	for args, want := range map[string]string{
		"report --out again " + old:                      "again/report.html",
		"compare --all " + old + " " + old:               "mode=ipvs",
		"simulate --services 5000 --calibrate " + old:    "ipvs",
		"report --out both --force " + old + " " + old:   "both/report.html",
		"compare --format json " + old + " " + old + "/": `"variant"`,
	} {
		code, stdout, stderr := run(t, strings.Fields(args)...)
		if code != ExitOK || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit %d, %q %q", args, code, stdout, stderr)
		}
	}
}

func TestConfigFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("c.yaml", []byte("services: [3, 5]\nrounds: 4\nmodes: [ipvs]\nbinds: route\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	f := benchFlags{app: app{modes: catalog.All()}, Config: session.Default(catalog.All()), params: map[string]*[]string{}}
	cmd := &cobra.Command{}
	f.register(cmd.Flags())
	if err := cmd.ParseFlags([]string{"--config", "c.yaml", "--repeat", "9", "--scheduler", "wrr,lc", "--out", "run"}); err != nil {
		t.Fatal(err)
	}
	s, err := f.resolve(cmd)
	if err != nil {
		t.Fatal(err)
	}
	// Flags win over the file, the file over defaults; old names of keys are understood,
	// and a value need not be a list.
	if len(s.Services) != 2 || s.Repeat != 9 || s.Config.Modes[0] != "ipvs" || s.Endpoints != 2 ||
		!slices.Equal(s.Params["bind"], []string{"route"}) || !slices.Equal(s.Params["scheduler"], []string{"wrr", "lc"}) {
		t.Errorf("%+v", s.Config)
	}
}

func TestHelpAndLists(t *testing.T) {
	for args, want := range map[string]string{
		"--help": "Available Commands", "bench --help": "Examples:", "": "Available Commands",
		"modes": "iptables-tree", "version": "viplab ", "report --help": "results/runs/latest",
	} {
		code, stdout, _ := run(t, strings.Fields(args)...)
		if code != ExitOK || !strings.Contains(stdout, want) {
			t.Errorf("%q: exit %d, %q", args, code, stdout)
		}
	}
}
