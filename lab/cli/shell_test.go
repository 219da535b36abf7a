package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"viplab/lab/testbed"
	"viplab/modes"
)

// eachTestbed runs a test with each testbed that this machine has, and a mode for it.
func eachTestbed(t *testing.T, test func(t *testing.T, testbedName, mode string)) {
	for _, tb := range testbed.All() {
		t.Run(tb.Name(), func(t *testing.T) {
			if err := tb.Probe(t.Context()); modes.IsMissing(err) {
				t.Skipf("SKIPPED: shell in testbed %s: %v", tb.Name(), err)
			}
			mode := "iptables"
			if tb.Name() == testbed.UMLName {
				mode = "ipvs"
			}
			test(t, tb.Name(), mode)
		})
	}
}

// TestExec: a command has the Services before it, its input, its output and its exit code,
// and nothing is left of it.
func TestExec(t *testing.T) {
	before := leftovers(t)
	eachTestbed(t, func(t *testing.T, where, mode string) {
		script := `vip=$(services | head -n 1 | cut -d' ' -f2 | cut -f1)
client curl -sS $vip; node curl -sS $vip | cut -d' ' -f1,2; echo read $(cat); echo err >&2; sleep 1000 & exit 9`
		cmd := program(t, "exec", "--testbed", where, "--mode", mode, "--services", "3", "--endpoints", "1", "--", "sh", "-c", script)
		cmd.Stdin = strings.NewReader("some input")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 9 {
			t.Errorf("%v, %s", err, errs.String())
		}
		for _, want := range []string{"10.128.0.1:8080 answers 10.255.255.2:", "10.128.0.1:8080 answers\n", "read some input\n"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%q is not in %q (%s)", want, out, errs.String())
			}
		}
		if !strings.Contains(errs.String(), "err\n") {
			t.Errorf("stderr is %q", errs.String())
		}
		if left := settled(t, before); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// TestExecHolds: what a mode holds outside of the node, which the command needs, is held until
// the command ends, and let go then.
func TestExecHolds(t *testing.T) {
	before := leftovers(t)
	for _, attach := range []string{"both", "socket"} {
		out, err := program(t, "exec", "--mode", "ebpf", "--attach", attach, "--testbed", "native", "--", "cat", "/proc/self/cgroup").CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == ExitSkipped {
			t.Skipf("SKIPPED: mode ebpf in testbed native: %s", out)
		}
		if err != nil || !strings.Contains(string(out), "viplab-ebpf-") {
			t.Errorf("%s: %v: %s", attach, err, out)
		}
	}
	if left := settled(t, before); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestExecCodes: exit codes of commands that are killed, not found, or no programs, and of
// what is wrong before.
func TestExecCodes(t *testing.T) {
	for words, want := range map[string]int{
		"sh -c 'kill -TERM $$'": 143, "no-such-command": 127, "/etc/passwd": 126, "true": 0,
	} {
		out, err := program(t, append(strings.Fields("exec --testbed native --services 1 -- "), shellWords(words)...)...).CombinedOutput()
		code := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if code != want || want > 125 && want < 128 && !strings.HasPrefix(string(out), "viplab: ") {
			t.Errorf("%s: exit %d, %s", words, code, out)
		}
	}
}

// shellWords parts a command at blanks outside of quotes.
func shellWords(s string) []string {
	head, quoted, ok := strings.Cut(s, "'")
	words := strings.Fields(head)
	if ok {
		words = append(words, strings.TrimSuffix(quoted, "'"))
	}
	return words
}

// TestShellBadInput: one sentence, and nothing is set up.
func TestShellBadInput(t *testing.T) {
	bad := write(t, "s.txt", "service a\n")
	for args, want := range map[string]string{
		"exec --story " + bad + " -- ls":        "s.txt, line 1: service needs a name",
		"exec --services 3":                     "exec needs a command",
		"shell ls":                              "shell takes no arguments",
		"shell --mode ipvy":                     "unknown mode \"ipvy\"",
		"exec --testbed venus -- ls":            "unknown testbed \"venus\"",
		"exec --story any --services 3 -- ls":   "cannot be given with them",
		"exec --story any --from any -- ls":     "exclude each other",
		"exec --services 0 -- ls":               "services must be",
		"exec --mode ipvs --scheduler x -- ls":  "unknown scheduler",
		"exec --mode iptables --bind lo -- ls":  "unknown bind",
		"exec --story nowhere.txt -- ls":        "read stories",
		"exec --testbed native --kernel 1 -- x": "kernels are those of testbed uml",
	} {
		code, stdout, stderr := run(t, strings.Fields(args)...)
		if code != ExitUsage || !strings.Contains(stderr, want) || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q %q", args, code, stdout, stderr)
		}
	}
}

// TestExecStory: the Services of a file of stories are there.
func TestExecStory(t *testing.T) {
	out, err := program(t, "exec", "--testbed", "native", "--story", "../../modes/packet/story/stories/1-clusterip.txt", "--",
		"client", "curl", "-sS", "10.96.0.10").CombinedOutput()
	if err != nil || !strings.Contains(string(out), " answers 10.255.255.2:") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestExecServicesAlone: a file of stories needs no story to be programmed.
func TestExecServicesAlone(t *testing.T) {
	file := write(t, "s.txt", "service a 10.96.0.10 port tcp/80:8080 to 10.128.0.1\n")
	out, err := program(t, "exec", "--testbed", "native", "--story", file, "--", "client", "curl", "-sS", "10.96.0.10").CombinedOutput()
	if err != nil || !strings.Contains(string(out), " answers 10.255.255.2:") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestExecFrom: the Services of a user's cluster are there, at addresses of the lab's.
func TestExecFrom(t *testing.T) {
	cmd := program(t, "exec", "--testbed", "native", "--from", write(t, "one.yaml", oneService), "--", "sh", "-c", "services; client curl -sS 10.96.0.10")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "shop/web\ttcp 10.96.0.10:80\t10.129.0.1") || !strings.Contains(string(out), ":8080 answers 10.") {
		t.Errorf("%v: %s %s", err, out, errs.String())
	}
}

// screenOf collects what a terminal shows.
type screenOf struct {
	t    *testing.T
	text chan string
	all  string
}

func newScreen(t *testing.T, terminal io.Reader) *screenOf {
	s := &screenOf{t: t, text: make(chan string, 1000)}
	go func() {
		defer close(s.text)
		b := make([]byte, 4096)
		for {
			n, err := terminal.Read(b)
			if err != nil {
				return
			}
			s.text <- string(b[:n])
		}
	}()
	return s
}

// await waits for a text, and forgets what came up to it.
func (s *screenOf) await(want string) {
	s.t.Helper()
	late := time.After(60 * time.Second)
	for {
		if _, after, ok := strings.Cut(s.all, want); ok {
			s.all = after
			return
		}
		select {
		case more, ok := <-s.text:
			if !ok {
				s.t.Fatalf("the terminal closed before it showed %q: %q", want, s.all)
			}
			s.all += more
		case <-late:
			s.t.Fatalf("the terminal never showed %q but %q", want, s.all)
		}
	}
}

// startAtTerminal starts a command at a terminal, which hangs up when it is closed.
func startAtTerminal(t *testing.T, cmd *exec.Cmd) *os.File {
	t.Helper()
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	// A read that blocks would keep it open.
	fd, err := syscall.Dup(int(terminal.Fd()))
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	hangs := os.NewFile(uintptr(fd), "terminal")
	t.Cleanup(func() { _ = hangs.Close() })
	return hangs
}

// TestShell drives a shell by a terminal: size, a change of it, Control-C, exit code.
func TestShell(t *testing.T) {
	before := leftovers(t)
	eachTestbed(t, func(t *testing.T, where, mode string) {
		cmd := program(t, "shell", "--testbed", where, "--mode", mode, "--services", "2")
		cmd.Env = append(cmd.Env, "TERM=dumb")
		terminal := startAtTerminal(t, cmd)
		s := newScreen(t, terminal)
		typed := func(text string) {
			if _, err := io.WriteString(terminal, text); err != nil {
				t.Fatal(err)
			}
		}
		s.await("2 Services in mode " + mode)
		s.await("viplab node# ")
		typed("stty size; echo $((40+2))\r")
		s.await("30 100\r\n42\r\n")
		if err := pty.Setsize(terminal, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
			t.Fatal(err)
		}
		typed("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo grew | tr a-z A-Z\r")
		s.await("GREW\r\n")
		typed("sh -c 'echo asleep | tr a-z A-Z; exec sleep 1000'\r")
		s.await("ASLEEP\r\n")
		typed("\x03")
		s.await("viplab node# ")
		typed("echo it was $?\r")
		s.await("it was 130\r\n")
		typed("exit 7\r")
		err := cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 {
			t.Errorf("%v: %s", err, s.all)
		}
		if left := settled(t, before); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// awaitRaw waits until a terminal passes every key on, Control-C among them.
func awaitRaw(t *testing.T, terminal *os.File) {
	t.Helper()
	for range 600 {
		raw := false
		conn, err := terminal.SyscallConn()
		if err == nil {
			err = conn.Control(func(fd uintptr) {
				state, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
				raw = err == nil && state.Lflag&unix.ISIG == 0
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		if raw {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the terminal never became raw")
}

// TestExecReadsFirst: a command at a terminal that writes nothing before it has read gets
// keys, and Control-C.
func TestExecReadsFirst(t *testing.T) {
	eachTestbed(t, func(t *testing.T, where, mode string) {
		cmd := program(t, "exec", "--testbed", where, "--mode", mode, "--services", "1", "--", "sh", "-c", "read line; echo got $line; exec cat >/dev/null")
		terminal := startAtTerminal(t, cmd)
		s := newScreen(t, terminal)
		awaitRaw(t, terminal)
		for _, key := range []string{"a line\r", "\x03"} {
			if _, err := io.WriteString(terminal, key); err != nil {
				t.Fatal(err)
			}
			if key != "\x03" {
				s.await("got a line\r\n")
			}
		}
		err := cmd.Wait()
		for more := range s.text {
			s.all += more
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 130 || strings.Contains(s.all, "interrupted") {
			t.Errorf("%v: %q", err, s.all)
		}
	})
}

// TestShellKilled: a shell whose terminal is gone takes everything along.
func TestShellKilled(t *testing.T) {
	before := leftovers(t)
	eachTestbed(t, func(t *testing.T, where, mode string) {
		cmd := program(t, "shell", "--testbed", where, "--mode", mode, "--services", "2")
		terminal := startAtTerminal(t, cmd)
		newScreen(t, terminal).await("viplab node# ")
		_ = terminal.Close()
		_ = cmd.Wait()
		if left := settled(t, before); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// TestExecAsUser: no rights are needed.
func TestExecAsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can become another user; TestExec is that already")
	}
	eachTestbed(t, func(t *testing.T, where, mode string) {
		p := program(t, "exec", "--testbed", where, "--mode", mode, "--services", "1", "--", "client", "true")
		home := t.TempDir()
		// The test's own binary lies where nobody else may go.
		copied := home + "/program"
		b, err := os.ReadFile(p.Path)
		if err == nil {
			err = errors.Join(os.WriteFile(copied, b, 0o755), os.Chmod(home, 0o777), openWay(home))
		}
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(copied, p.Args[1:]...)
		cmd.Env = append(p.Env, "HOME="+home, "XDG_CACHE_HOME="+home, "TMPDIR="+home)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// openWay lets others go to a folder among temporary ones of a test.
func openWay(dir string) error {
	for dir = dir[:strings.LastIndex(dir, "/")]; dir != os.TempDir() && dir != ""; dir = dir[:strings.LastIndex(dir, "/")] {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}
