// Package inside runs a test binary's kernel tests where they can do no harm
// and find what they need: in namespaces of this kernel and in a guest.
//
// A package with kernel tests has
//
//	func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }
//
// Outside, Main starts the same binary again in every testbed, with the same
// -test flags, and then proves that the host is as it was before. Inside, it
// runs the tests. A testbed that this machine lacks is skipped, with the reason.
//
// What is fuzzed, a parser, needs no kernel, and keeps what it finds in files: that is done
// outside, and no test with it.
package inside

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"viplab/lab/kernel"
	"viplab/lab/testbed"
	"viplab/modes/ebpf/cgroup"
	"viplab/modes/userspace/proxy"
)

// KernelEnv names the kernel for the tests' guest (see [kernel.Find]), if not the newest
// that was built, or the packaged one where none was: VIPLAB_KERNEL=debian go test ./lab/trial.
const KernelEnv = "VIPLAB_KERNEL"

// OnlyEnv names the one testbed to run in, if not all of them:
// VIPLAB_ONLY=uml go test ./lab/selfbench -bench FullSync.
const OnlyEnv = "VIPLAB_ONLY"

// nameEnv tells the test binary which testbed it is in.
const nameEnv = "VIPLAB_TESTBED"

// Testbed is the name of the testbed that the tests run in.
func Testbed() string { return os.Getenv(nameEnv) }

// builtEnv is set where the guest's kernel is one that was built.
const builtEnv = "VIPLAB_BUILT"

// HasAll tells whether the tests run where nothing is missing that a mode of the lab's own
// needs: in a guest with a kernel that was built for them.
func HasAll() bool { return Testbed() == testbed.UMLName && os.Getenv(builtEnv) != "" }

// Main is the body of TestMain; it returns the exit code.
func Main(m *testing.M) int {
	testbed.Dispatch(map[string]testbed.Role{
		testbed.RoleProxy: func([]string) error { return proxy.Run(os.Stdin, os.Stdout) },
	})
	if Testbed() != "" {
		return m.Run()
	}
	if fuzzes(os.Args[1:]) {
		return fuzz(m)
	}
	cgroup.Sweep(0) // those of a run that was killed would go meanwhile
	before := fingerprint()
	testbeds, built, err := testbeds()
	if err != nil {
		fmt.Println("FAIL:", err)
		return 1
	}
	all := runAll
	if benchmarks(os.Args[1:]) {
		all = runEach
	}
	var env []string
	if built {
		env = []string{builtEnv + "=yes"}
	}
	code := all(testbeds, env)
	if diff := before.compare(fingerprint()); diff != "" {
		fmt.Printf("FAIL: the tests left something behind on the host:\n%s", diff)
		code = max(code, 1)
	}
	return code
}

// testbeds is all of them or the one that was asked for, the guest with the kernel that was,
// and whether that was built.
func testbeds() (all []testbed.Testbed, built bool, err error) {
	all = testbed.All()
	if only := os.Getenv(OnlyEnv); only != "" {
		one, err := testbed.Find(only)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", OnlyEnv, err)
		}
		all = []testbed.Testbed{one}
	}
	name := os.Getenv(KernelEnv)
	if name == "" {
		list, err := kernel.List()
		if err != nil || len(list) == 0 {
			return all, false, err
		}
		name = list[0].Name
	}
	k, err := kernel.Find(context.Background(), name)
	if err != nil {
		return nil, false, err
	}
	for i, tb := range all {
		if tb.Name() == testbed.UMLName {
			all[i] = testbed.WithKernel(k)
		}
	}
	return all, name != kernel.Debian, nil
}

// runAll runs the tests in all testbeds at the same time, since each is mostly waiting, and
// returns the worst exit code. What the last one says is seen at once, what the others say
// when they have ended.
func runAll(testbeds []testbed.Testbed, env []string) int {
	codes, texts := make([]int, len(testbeds)), make([]bytes.Buffer, len(testbeds))
	var all sync.WaitGroup
	for i, tb := range testbeds {
		all.Go(func() {
			var out io.Writer = &texts[i]
			if i == len(testbeds)-1 {
				out = os.Stdout
			}
			codes[i] = run(tb, env, out)
		})
	}
	all.Wait()
	for i := range texts {
		_, _ = texts[i].WriteTo(os.Stdout)
	}
	return slices.Max(codes)
}

// benchmarks tells whether the flags ask for benchmarks, which disturb one another.
func benchmarks(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		pattern, found := strings.CutPrefix(a, "-test.bench=")
		return found && pattern != ""
	})
}

// fuzzes tells whether the flags ask for fuzzing, or for one of its workers.
func fuzzes(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		pattern, found := strings.CutPrefix(a, "-test.fuzz=")
		return found && pattern != "" || a == "-test.fuzzworker" || a == "-test.fuzzworker=true"
	})
}

// fuzz fuzzes here. Tests and benchmarks, which go test runs before that, are for testbeds.
func fuzz(m *testing.M) int {
	flag.Parse()
	for name, value := range map[string]string{"test.run": "^$", "test.bench": ""} {
		if err := flag.Set(name, value); err != nil {
			fmt.Println("FAIL:", err)
			return 1
		}
	}
	return m.Run()
}

// runEach runs them in one testbed after the other. All that they say is seen at once.
func runEach(testbeds []testbed.Testbed, env []string) int {
	code := 0
	for _, tb := range testbeds {
		code = max(code, run(tb, env, os.Stdout))
	}
	return code
}

func run(tb testbed.Testbed, env []string, out io.Writer) int {
	ctx := context.Background()
	if err := tb.Probe(ctx); err != nil {
		fmt.Fprintf(out, "SKIPPED: all kernel tests on testbed %s: %v\n", tb.Name(), err)
		return 0
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(out, "FAIL:", err)
		return 1
	}
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(out, "FAIL:", err)
		return 1
	}
	fmt.Fprintf(out, "=== testbed %s\n", tb.Name())
	code, err := tb.Run(ctx, testbed.Command{
		Args: append([]string{self}, flags(os.Args[1:])...), Dir: dir,
		Env: slices.Concat(testbed.CallerEnv(), env, []string{nameEnv + "=" + tb.Name(), "GODEBUG=asyncpreemptoff=1"}), Stdout: out, Stderr: out,
		RealRoot: true, // for modes that need it, where the caller has it
	})
	if err != nil {
		fmt.Fprintf(out, "FAIL: testbed %s: %v\n", tb.Name(), err)
		return 1
	}
	return code
}

// flags keeps the test flags that make sense in a testbed, where no file can be
// written, and makes skips visible.
func flags(args []string) []string {
	out := []string{"-test.v=true"}
	for _, a := range args {
		for _, keep := range []string{"run", "skip", "short", "count", "bench", "benchtime", "timeout"} {
			if strings.HasPrefix(a, "-test."+keep+"=") {
				out = append(out, a)
			}
		}
	}
	return out
}
