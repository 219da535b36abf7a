package testbed

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// TestInput: what comes while the command runs reaches it whole, and so does its end.
func TestInput(t *testing.T) {
	each(t, func(t *testing.T, tb Testbed) {
		r, w := io.Pipe()
		sent := bytes.Repeat([]byte("\x03\x04 line\r\n\x00\xff"), 20000) // what a terminal would take for keys
		go func() {
			for i := 0; i < len(sent); i += 50000 {
				_, _ = w.Write(sent[i:min(i+50000, len(sent))])
				time.Sleep(10 * time.Millisecond)
			}
			_ = w.Close()
		}()
		var out bytes.Buffer
		code, err := tb.Run(t.Context(), Command{Args: []string{"/bin/sh", "-c", "cat <&3; exit 5"}, Input: &Input{From: r}, Stdout: &out})
		if err != nil || code != 5 {
			t.Fatal(code, err)
		}
		if !bytes.Equal(out.Bytes(), sent) {
			t.Errorf("%d bytes of %d arrived", out.Len(), len(sent))
		}
	})
}

// TestInputUnread: a command that does not read its input ends all the same.
func TestInputUnread(t *testing.T) {
	each(t, func(t *testing.T, tb Testbed) {
		r, w := io.Pipe()
		defer w.Close()
		start := time.Now()
		code, err := tb.Run(t.Context(), Command{Args: []string{"/bin/true"}, Input: &Input{From: r}})
		if err != nil || code != 0 || time.Since(start) > 10*time.Second {
			t.Errorf("exit %d, %v, after %s", code, err, time.Since(start))
		}
	})
}

// openTerminal is both ends of a terminal, until the test ends.
func openTerminal(t *testing.T) (keys, terminal *os.File) {
	t.Helper()
	keys, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = terminal.Close(), keys.Close() })
	return keys, terminal
}

// TestTerminalAsInput: a terminal as the plain input of a command of this kernel is copied,
// up to its end. The command itself, in the background there, could not read it.
func TestTerminalAsInput(t *testing.T) {
	keys, terminal := openTerminal(t)
	cmd := exec.Command("/bin/sh", "-c", "cat <&3; test -t 3 && echo terminal")
	in := &Input{From: terminal}
	j, err := in.join(cmd, nil)
	if err != nil {
		t.Fatal(err)
	}
	if j == nil {
		t.Fatal("the command gets the terminal itself")
	}
	defer j.ended()
	if _, err := keys.WriteString("a line\n\x04"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	err = cmd.Start()
	j.started()
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if out.String() != "a line\n" {
		t.Errorf("the command read %q", out.String())
	}
}

// TestTerminalInBackground: a terminal as plain input is not read before the process group
// has it, which would stop the process and its command.
func TestTerminalInBackground(t *testing.T) {
	keys, terminal := openTerminal(t)
	var out bytes.Buffer
	cmd := exec.Command(self(t), roleJobs, "shell")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if _, err := keys.WriteString("a line\n\x04"); err != nil {
		t.Fatal(err)
	}
	err := cmd.Run()
	if want := "runs in the background\na line\n"; err != nil || out.String() != want {
		t.Errorf("%v: %q, not %q", err, out.String(), want)
	}
}

// TestTerminalOfPager: a terminal as plain input is not read while somebody takes keys off
// it, as a pager does, and is when lines are typed again.
func TestTerminalOfPager(t *testing.T) {
	keys, terminal := openTerminal(t)
	lines, err := term.MakeRaw(int(terminal.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		b := make([]byte, 16)
		n, err := keyboard{f: terminal, over: make(chan struct{})}.Read(b)
		read <- fmt.Sprint(string(b[:n]), err)
	}()
	if _, err := keys.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-read:
		t.Fatalf("the pager's key was read: %q", got)
	case <-time.After(3 * turnTime):
	}
	key := make([]byte, 1)
	if _, err := terminal.Read(key); err != nil || key[0] != 'q' {
		t.Fatalf("the pager read %q, %v", key, err)
	}
	if err := term.Restore(int(terminal.Fd()), lines); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.WriteString("a line\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != "a line\n<nil>" {
		t.Errorf("the command read %q", got)
	}
}

// jobsRole is a shell at its terminal, with one job in the background that it then brings to
// the foreground; or that job.
func jobsRole(args []string) error {
	if args[0] == "job" {
		cmd := exec.Command("/bin/sh", "-c", "echo runs in the background; cat <&3")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		j, err := (&Input{From: os.Stdin}).join(cmd, nil)
		if err != nil {
			return err
		}
		defer j.ended()
		err = cmd.Start()
		j.started()
		if err != nil {
			return err
		}
		return cmd.Wait()
	}
	signal.Ignore(syscall.SIGTTOU) // as shells do
	job := exec.Command("/proc/self/exe", roleJobs, "job")
	job.Stdin, job.Stdout, job.Stderr = os.Stdin, os.Stdout, os.Stderr
	job.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := job.Start(); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(job.Process.Pid, &status, syscall.WUNTRACED|syscall.WNOHANG, nil); pid != 0 || err != nil {
		_ = job.Process.Kill()
		return fmt.Errorf("the job in the background ended or was stopped: %v, %#x, %v", status.StopSignal(), status, err)
	}
	if err := unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, job.Process.Pid); err != nil {
		return err
	}
	return job.Wait()
}

// screen waits for what a terminal shows.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) await(t *testing.T, want string) {
	t.Helper()
	for range 600 {
		s.mu.Lock()
		ok := strings.Contains(s.text.String(), want)
		s.mu.Unlock()
		if ok {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the terminal never showed %q but %q", want, s.text.String())
}

// TestTerminal: the command's terminal has the size that it is given and the one that it
// is changed to, edits lines, and makes a signal of Control-C.
func TestTerminal(t *testing.T) {
	each(t, func(t *testing.T, tb Testbed) {
		keys, typed := io.Pipe()
		defer typed.Close()
		sizes := make(chan Size, 1)
		shown := &screen{}
		go func() {
			shown.await(t, "size 30 100")
			sizes <- Size{40, 120}
			shown.await(t, "size 40 120")
			fmt.Fprint(typed, "wrong\x15right\r") // Control-U
			shown.await(t, "got <right>")
			fmt.Fprint(typed, "\x03")
		}()
		code, err := tb.Run(t.Context(), Command{Args: []string{self(t), roleTerminal}, Stdout: shown,
			Input: &Input{From: keys, Terminal: true, Size: Size{30, 100}, Resized: sizes}})
		if err != nil || code != 130 {
			t.Errorf("exit %d, %v, shown %q", code, err, shown.text.String())
		}
	})
}

// terminalRole starts one that has the terminal.
func terminalRole(args []string) error {
	terminal := os.NewFile(InputFD, "terminal")
	if len(args) > 0 {
		return atTerminal()
	}
	cmd := exec.Command("/proc/self/exe", roleTerminal, "there")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	code, err := exitCode(cmd.Run())
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}

// atTerminal shows the terminal's sizes and a line, and waits for a signal.
func atTerminal() error {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	for seen := (unix.Winsize{}); seen.Row != 40; time.Sleep(10 * time.Millisecond) {
		now, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		if err != nil {
			return err
		}
		if *now != seen {
			fmt.Println("size", now.Row, now.Col)
		}
		seen = *now
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Printf("got <%s>\n", strings.TrimSpace(line))
	<-interrupted
	os.Exit(130)
	return nil
}
