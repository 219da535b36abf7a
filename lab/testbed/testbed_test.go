package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"viplab/lab/kernel"
	"viplab/modes"
)

// Roles of the test binary: a parent to be killed, and children that say and do
// what a test wants of a command.
const (
	roleParent = "test-parent"
	roleSay    = "test-say"
	rolePanic  = "test-panic"
	roleFlood  = "test-flood"
	roleSleep  = "test-sleep"

	roleTerminal = "test-terminal"
	roleJobs     = "test-jobs"
)

func TestMain(m *testing.M) {
	Dispatch(map[string]Role{
		roleSay: func(args []string) error {
			in, _ := os.ReadFile("/dev/stdin")
			fmt.Printf("out %s %s %s\n", args[0], os.Getenv("X"), in)
			fmt.Fprintln(os.Stderr, "err", args[0])
			wd, _ := os.Getwd()
			fmt.Println(os.Geteuid(), wd)
			code, _ := strconv.Atoi(args[1])
			os.Exit(code)
			return nil
		},
		rolePanic: func([]string) error { return os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0) },
		roleFlood: func([]string) error {
			line := bytes.Repeat([]byte("x"), 1023)
			for range 4096 {
				if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
					return err
				}
			}
			return nil
		},
		roleSleep:    func([]string) error { fmt.Println("ready"); time.Sleep(time.Minute); return nil },
		roleTerminal: terminalRole,
		roleJobs:     jobsRole,
		roleHarm:     harm,
		roleFenced:   fenced,
		roleParent: func(args []string) error {
			tb, err := Find(args[0])
			if err == nil {
				_, err = tb.Run(context.Background(), Command{Args: []string{os.Args[0], roleSleep}, Stdout: os.Stdout})
			}
			return err
		},
	})
	os.Exit(m.Run())
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// each runs a test in every testbed that this machine has.
func each(t *testing.T, test func(*testing.T, Testbed)) {
	for _, tb := range All() {
		t.Run(tb.Name(), func(t *testing.T) {
			if err := tb.Probe(t.Context()); modes.IsMissing(err) {
				t.Skipf("SKIPPED: testbed %s: %v", tb.Name(), err)
			} else if err != nil {
				t.Fatal(err)
			}
			test(t, tb)
		})
	}
}

func TestRun(t *testing.T) {
	each(t, func(t *testing.T, tb Testbed) {
		for _, want := range []int{0, 7} {
			var out, errs bytes.Buffer
			code, err := tb.Run(t.Context(), Command{
				Args: []string{self(t), roleSay, "hello", strconv.Itoa(want)}, Env: []string{"X=y"}, Dir: "/usr",
				Stdin: []byte("input"), Stdout: &out, Stderr: &errs,
			})
			if err != nil || code != want {
				t.Fatalf("exit %d, %v", code, err)
			}
			if out.String() != "out hello y input\n0 /usr\n" || errs.String() != "err hello\n" {
				t.Errorf("stdout %q, stderr %q", out.String(), errs.String())
			}
		}
	})
}

// TestNothingIsLost: output far larger than any buffer on its way arrives whole.
func TestNothingIsLost(t *testing.T) {
	each(t, func(t *testing.T, tb Testbed) {
		var out bytes.Buffer
		if code, err := tb.Run(t.Context(), Command{Args: []string{self(t), roleFlood}, Stdout: &out}); err != nil || code != 0 {
			t.Fatal(code, err)
		}
		if out.Len() != 4<<20 || strings.Count(out.String(), "\n") != 4096 {
			t.Errorf("%d bytes arrived", out.Len())
		}
	})
}

func TestHostIsReadOnlyInTheGuest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	tb := &UML{}
	if err := tb.Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: testbed uml: %v", err)
	}
	code, err := tb.Run(t.Context(), Command{Args: []string{"/bin/sh", "-c", "echo x > " + path}})
	if err != nil || code == 0 {
		t.Errorf("exit %d, %v", code, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the guest wrote a file of the host")
	}
}

// TestGuestPanic: the death of a guest is told apart from a failed command.
func TestGuestPanic(t *testing.T) {
	tb := &UML{}
	if err := tb.Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: testbed uml: %v", err)
	}
	_, err := tb.Run(t.Context(), Command{Args: []string{self(t), rolePanic}})
	var g *GuestError
	if !errors.As(err, &g) || !strings.Contains(g.Console, "panic") || !g.Booted {
		t.Errorf("got %v", err)
	}
	// 64 MB are too little for a program that takes more.
	_, err = tb.Run(t.Context(), Command{Args: []string{"/bin/sh", "-c", "head -c 200000000 /dev/zero | tail -c 190000000 >/dev/null"}, MemoryMB: 48})
	t.Logf("out of memory: %v", err)
}

// TestConsoleTail: the end of a console is told, and what a panic was for.
func TestConsoleTail(t *testing.T) {
	stack := strings.Repeat(" [<6069f4e1>] dump_stack\r\n", 100)
	for console, want := range map[string]string{
		"SELinux: no\r\n\r\nup\r\n":                     "up",
		"Kernel panic - not syncing: no init\n" + stack: "Kernel panic - not syncing: no init\n [<6069f4e1>] dump_stack\n",
		"up\n" + stack: " [<6069f4e1>] dump_stack\n",
	} {
		if got := consoleTail(console); !strings.HasPrefix(got, want) || strings.Count(got, "\n") >= consoleLines {
			t.Errorf("%.40q: %q", console, got)
		}
	}
}

// TestUnbootable: a guest whose kernel does not come as far as to start anything is told
// apart from one that died.
func TestUnbootable(t *testing.T) {
	k, err := kernel.Packaged(t.Context())
	if err != nil {
		t.Skipf("SKIPPED: testbed uml: %v", err)
	}
	path := filepath.Join(t.TempDir(), "linux.uml")
	script := "#!/bin/sh\ncase $1 in --version) echo 9.8.7;; --help) echo seccomp=;; *) echo no way >&2; exit 3;; esac\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	k.Path, k.Source = path, "linux-source-9.8 9.8.7-1"
	k.Name = "9.8"
	_, err = WithKernel(k).Run(t.Context(), Command{Args: []string{"/bin/true"}})
	var missing *modes.MissingError
	if !errors.As(err, &missing) || missing.Mend != "viplab kernel build --force 9.8" || !strings.Contains(err.Error(), "no way") {
		t.Errorf("got %v", err)
	}
}

// TestMountPoint: the guest's files are mounted on a folder that hides nothing: an empty one
// of the cache's, else another that is empty, whose path the guest's kernel can be told.
func TestMountPoint(t *testing.T) {
	top := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", top)
	for range 2 {
		if dir, err := mountPoint(); err != nil || dir != filepath.Join(top, "viplab", "guest") {
			t.Fatal(dir, err)
		}
	}
	elsewhere := func() {
		t.Helper()
		dir, err := mountPoint()
		if modes.IsMissing(err) {
			return // this machine has no other
		}
		entries, rerr := os.ReadDir(dir)
		if err != nil || rerr != nil || len(entries) > 0 || strings.Contains(dir, " ") {
			t.Errorf("%s holds %v: %v %v", dir, entries, err, rerr)
		}
	}
	if err := os.WriteFile(filepath.Join(top, "viplab", "guest", "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(t.TempDir(), "two words"))
	elsewhere()
}

func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, tb Testbed) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := tb.Run(ctx, Command{Args: []string{self(t), roleSleep}})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 20*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		gone(t)
	})
}

// TestKilledParent: SIGKILL of the caller takes the testbed along.
func TestKilledParent(t *testing.T) {
	each(t, func(t *testing.T, tb Testbed) {
		cmd := exec.Command(self(t), roleParent, tb.Name())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 5)
		if _, err := out.Read(buf); err != nil || string(buf) != "ready" {
			t.Errorf("the command says %q, %v", buf, err)
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		gone(t)
	})
}

// gone fails unless every process of a testbed ends soon.
func gone(t *testing.T) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		left = nil
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, l := range lines {
			b, _ := os.ReadFile(l)
			text := strings.ReplaceAll(string(b), "\x00", " ")
			if strings.Contains(text, roleSleep) || strings.Contains(text, "init="+self(t)) {
				left = append(left, l+" "+text)
			}
		}
		if left == nil {
			return
		}
	}
	t.Errorf("left behind: %v", left)
}

// TestConcurrentGuests: guests do not collide.
func TestConcurrentGuests(t *testing.T) {
	tb := &UML{}
	if err := tb.Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: testbed uml: %v", err)
	}
	results := make(chan error)
	for i := range 3 {
		go func() {
			var out bytes.Buffer
			code, err := tb.Run(t.Context(), Command{Args: []string{self(t), roleSay, strconv.Itoa(i), "0"}, Stdout: &out})
			if err == nil && (code != 0 || !strings.HasPrefix(out.String(), "out "+strconv.Itoa(i))) {
				err = fmt.Errorf("exit %d, %q", code, out.String())
			}
			results <- err
		}()
	}
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// TestShim boots a guest with the ptrace library, also where the CPU needs none.
func TestShim(t *testing.T) {
	tb := &UML{}
	if err := tb.Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: testbed uml: %v", err)
	}
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skipf("SKIPPED: no C compiler: %v", err)
	}
	t.Setenv(ShimEnv, "on")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var out bytes.Buffer
	code, err := tb.Run(t.Context(), Command{Args: []string{self(t), roleSay, "a", "0"}, Stdout: &out})
	if err != nil || code != 0 || !strings.HasPrefix(out.String(), "out a") {
		t.Errorf("exit %d, %v, %q", code, err, out.String())
	}
	built, _ := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "viplab", "shim", "ptrace-*.so"))
	if len(built) != 1 {
		t.Errorf("libraries built: %v", built)
	}
}

// TestShimOfOthers: a library that somebody else could have put there, or that is not what
// was compiled, is not loaded.
func TestShimOfOthers(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skipf("SKIPPED: no C compiler: %v", err)
	}
	home := t.TempDir()
	t.Setenv("TMPDIR", home)
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	path, done, err := shim()
	if err != nil {
		t.Fatal(err)
	}
	done()
	made, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(path, home+"/viplab-cache-") {
		t.Fatal(path, err)
	}
	// Another content: it is made anew.
	if err := os.WriteFile(path, []byte("evil"), 0o700); err != nil {
		t.Fatal(err)
	}
	if path, done, err = shim(); err != nil {
		t.Fatal(err)
	}
	done()
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, made) {
		t.Errorf("%d bytes instead of %d, %v", len(again), len(made), err)
	}
	// A folder that others can write to: not looked at, and nothing is left.
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	other, done, err := shim()
	if err != nil || filepath.Dir(other) == filepath.Dir(path) || !whole(other) {
		t.Errorf("%s, %v", other, err)
	}
	done()
	if _, err := os.Stat(other); err == nil {
		t.Errorf("%s was left", other)
	}
}
