package pipe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes"
)

// maxLine bounds a line of the program, in bytes: an error with what a tool said of it.
const maxLine = 64 << 10

// process is a running program.
type process struct {
	cmd    *exec.Cmd
	in     *os.File
	out    *os.File
	writer *bufio.Writer
	reader *bufio.Reader
	stderr *tail
	ended  chan struct{} // closed when the program has ended; it is not waited for yet
}

// find is the path of a program: in the PATH of the user who started the lab, which is not
// that of the testbed, or else in this process' own.
func find(name string) (string, error) {
	if !strings.ContainsRune(name, filepath.Separator) {
		for _, dir := range filepath.SplitList(os.Getenv(modes.CallerPath)) {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(path) {
				return path, nil
			}
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", &modes.MissingError{Need: "the program " + name, Mend: "put it into a folder of your PATH, or give its whole path", Err: err}
	}
	return path, nil
}

// start starts a program in the namespaces of the calling thread.
func start(command, env []string) (*process, error) {
	if len(command) == 0 {
		return nil, errors.New("no program given")
	}
	path, err := find(command[0])
	if err != nil {
		return nil, err
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	p := &process{cmd: exec.Command(path, command[1:]...), in: in, out: out, stderr: &tail{}, ended: make(chan struct{})}
	p.writer, p.reader = bufio.NewWriterSize(in, 64<<10), bufio.NewReaderSize(out, maxLine)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirIn, theirOut, p.stderr
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.WaitDelay = time.Second
	// A group of its own, so that its tools end with it; and it must not outlive the lab.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	err = errors.Join(p.cmd.Start(), theirIn.Close(), theirOut.Close())
	if p.cmd.Process == nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	go p.watch()
	return p, err
}

// watch notes that the program has ended. It leaves the process id taken, so that its
// group can still be told from others.
func (p *process) watch() {
	for unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	close(p.ended)
}

// limit ends reads and writes at a deadline, or when the context does. The returned
// function takes that back.
func (p *process) limit(ctx context.Context, within time.Duration) (undo func()) {
	at := time.Now().Add(within)
	_, _ = p.in.SetDeadline(at), p.out.SetDeadline(at) // pipes can do it
	stop := context.AfterFunc(ctx, func() { _, _ = p.in.SetDeadline(time.Unix(1, 0)), p.out.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// write puts a line where [process.flush] sends it from.
func (p *process) write(r Request) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode %s: %w", r.Do, err)
	}
	_, err = p.writer.Write(append(line, '\n'))
	return fault(err)
}

func (p *process) flush() error { return fault(p.writer.Flush()) }

// read waits for the answer to a request.
func (p *process) read(did string, id int) (r Reply, err error) {
	line, err := p.reader.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return r, fmt.Errorf("%w: a line of more than %d bytes", ErrNonsense, maxLine)
	case err != nil:
		return r, fault(err)
	}
	err = json.Unmarshal(line, &r)
	switch {
	case err != nil:
		return r, fmt.Errorf("%w: %q: %w", ErrNonsense, shorten(string(line)), err)
	case r.Did == Failed && r.ID == id:
		return r, fmt.Errorf("%w: %s", ErrRefused, r.Error)
	case r.Did != did || r.ID != id:
		return r, fmt.Errorf("%w: %q is no answer to what was asked with id %d", ErrNonsense, shorten(string(line)), id)
	}
	return r, nil
}

// fault says what an error of a pipe means.
func fault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSilent
	case errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE):
		return ErrDied
	}
	return err
}

// end ends the program's input, gives it some time, and ends it with its whole group.
func (p *process) end(within time.Duration) error {
	_ = p.in.Close()
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	var late error
	select {
	case <-p.ended:
	case <-timeout.C:
		late = fmt.Errorf("%w: it did not end", ErrSilent)
	}
	// The group is killed in any case: tools may be left. Its id is still taken.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	err := p.cmd.Wait()
	_ = p.out.Close()
	var exit *exec.ExitError
	if late != nil || errors.As(err, &exit) {
		return errors.Join(late, err)
	}
	return nil // output that a child of the program's held open
}

// tail keeps the end of what is written to it.
type tail struct{ text string }

// maxTail is how much is kept, in bytes.
const maxTail = 2000

// Write implements [io.Writer].
func (t *tail) Write(b []byte) (int, error) {
	t.text += string(b[max(0, len(b)-maxTail):])
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(b), nil
}

// shorten keeps the beginning of a line for a sentence.
func shorten(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
