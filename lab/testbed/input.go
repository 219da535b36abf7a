package testbed

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// InputFD is the descriptor at which a command finds its [Input].
const InputFD = 3

// Input is what somebody gives a command while it runs. The command reads it at
// descriptor [InputFD].
type Input struct {
	// From is read as it comes. A read that waits when the command ends is left alone.
	From io.Reader
	// Terminal makes the descriptor a terminal of the command's own, with line editing and
	// signals by keys. What is written to it goes to the command's Stdout.
	Terminal bool
	// Size is that of the terminal at its start, and Resized takes later ones, if it is not
	// nil.
	Size    Size
	Resized <-chan Size
}

// Size is that of a terminal, in characters.
type Size struct{ Rows, Cols uint16 }

func (s Size) set(terminal *os.File) error {
	return pty.Setsize(terminal, &pty.Winsize{Rows: s.Rows, Cols: s.Cols})
}

// flushLimit is how long what a terminal's last user wrote may take to come out. What
// still holds the terminal then is a process that was left behind.
const flushLimit = 2 * time.Second

// settleTime is after how long a terminal's size is set once more. Programs that use
// readline, as bash does, read the size and write the same back before each prompt, which
// undoes a change in between: once in some thousand changes.
const settleTime = 200 * time.Millisecond

// window keeps a terminal at the size that it was given last.
type window struct {
	mu       sync.Mutex
	terminal *os.File
	size     Size
}

func (w *window) resize(s Size) {
	w.set(&s)
	time.AfterFunc(settleTime, func() { w.set(nil) })
}

// set gives the terminal a size, or the last one again, of which processes hear only if
// it is another.
func (w *window) set(s *Size) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s != nil {
		w.size = *s
	}
	_ = w.size.set(w.terminal) // fails when the command has ended
}

// joint is a command's descriptor, seen from outside.
type joint struct {
	// inner goes to the command, and is closed here once that runs.
	inner *os.File
	// outer is the other end, a terminal's if terminal is set.
	outer    *os.File
	terminal bool
	copied   chan struct{}
	over     chan struct{} // closed when the command has ended
}

// newJoint makes a terminal of a size, or a pipe. What is written to the terminal goes to
// out.
func newJoint(terminal bool, size Size, out io.Writer) (*joint, error) {
	j := &joint{terminal: terminal, copied: make(chan struct{}), over: make(chan struct{})}
	var err error
	if !terminal {
		close(j.copied)
		if j.inner, j.outer, err = os.Pipe(); err != nil {
			return nil, fmt.Errorf("make a pipe for the command's input: %w", err)
		}
		return j, nil
	}
	if j.outer, j.inner, err = pty.Open(); err != nil {
		return nil, fmt.Errorf("make a terminal for the command: %w", err)
	}
	_ = size.set(j.outer)
	go func() {
		defer close(j.copied)
		_, _ = io.Copy(out, j.outer) // ends with an error, when nobody has the terminal any more
	}()
	return j, nil
}

// give makes the joint descriptor [InputFD] of a command that is started next.
func (j *joint) give(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{j.inner} }

// started is called when the command runs, or could not be started. A nil joint is that of
// a command without input, or with the source itself.
func (j *joint) started() {
	if j != nil {
		_ = j.inner.Close()
	}
}

// ended waits for what the command wrote last.
func (j *joint) ended() {
	if j == nil {
		return
	}
	select {
	case <-j.copied:
	case <-time.After(flushLimit):
	}
	close(j.over)
	_ = j.outer.Close()
}

// turnTime is how often is looked whether a terminal is this process's to read.
const turnTime = 200 * time.Millisecond

// keyboard is a terminal that is read as plain input, until a command has ended.
type keyboard struct {
	f    *os.File
	over <-chan struct{}
}

// Read waits until there is something to read, and meanwhile leaves the terminal alone
// while somebody else has it; the command may not want any input.
func (k keyboard) Read(p []byte) (int, error) {
	for {
		select {
		case <-k.over:
			return 0, io.EOF
		default:
		}
		if k.elsewhere() {
			select {
			case <-k.over:
			case <-time.After(turnTime):
			}
			continue
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(k.f.Fd()), Events: unix.POLLIN}}, int(turnTime.Milliseconds()))
		if n == 0 && err == nil || errors.Is(err, unix.EINTR) || k.elsewhere() {
			continue
		}
		return k.f.Read(p)
	}
}

// elsewhere tells whether somebody else has the terminal. That is another process group, if
// it is the terminal of this session: the kernel stops who reads it in the background. Or
// it is who takes keys off it rather than lines, as does a pager that shows what the command
// writes.
func (k keyboard) elsewhere() bool {
	if group, err := unix.IoctlGetInt(int(k.f.Fd()), unix.TIOCGPGRP); err == nil && group != unix.Getpgrp() {
		return true
	}
	mode, err := unix.IoctlGetTermios(int(k.f.Fd()), unix.TCGETS)
	return err == nil && mode.Lflag&unix.ICANON == 0
}

// isTerminal tells whether a plain input is a terminal.
func (in *Input) isTerminal() bool {
	f, ok := in.From.(*os.File)
	return ok && !in.Terminal && term.IsTerminal(int(f.Fd()))
}

// reader is what is read for a command that has ended when over is closed.
func (in *Input) reader(over <-chan struct{}) io.Reader {
	if in.isTerminal() {
		return keyboard{in.From.(*os.File), over}
	}
	return in.From
}

// feed copies the input and the sizes until the input ends.
func (in *Input) feed(j *joint) {
	if j.terminal && in.Resized != nil {
		w := window{terminal: j.outer}
		go func() {
			for s := range in.Resized {
				w.resize(s)
			}
		}()
	}
	_, _ = io.Copy(j.outer, in.reader(j.over))
	if !j.terminal { // the end of a terminal's input is a key
		_ = j.outer.Close()
	}
}

// join gives an input, if there is one, to a command of this kernel.
func (in *Input) join(cmd *exec.Cmd, out io.Writer) (*joint, error) {
	if in == nil {
		return nil, nil
	}
	// A terminal is read here: the command is in a process group of its own, which is in the
	// background there, and would be stopped by its first read.
	if f, ok := in.From.(*os.File); ok && !in.Terminal && !in.isTerminal() {
		cmd.ExtraFiles = []*os.File{f}
		return nil, nil
	}
	j, err := newJoint(in.Terminal, in.Size, out)
	if err != nil {
		return nil, err
	}
	j.give(cmd)
	go in.feed(j)
	return j, nil
}

// Kinds of frames on the wire into a guest. A frame is its kind, the length of what
// follows in two bytes, and that.
const (
	frameData = 'd'
	frameEnd  = 'e'
	frameSize = 's' // rows and columns, two bytes each
)

// frames writes to the wire.
type frames struct {
	mu sync.Mutex
	w  io.Writer
}

// Write sends data.
func (f *frames) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), 4096)]
		if err = f.send(frameData, part); err == nil {
			n, p = n+len(part), p[len(part):]
		}
	}
	return n, err
}

func (f *frames) send(kind byte, payload []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(payload)))
	_, err := f.w.Write(append(b, payload...))
	return err
}

// size sends that of the terminal.
func (f *frames) size(s Size) error {
	return f.send(frameSize, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, s.Rows), s.Cols))
}

// send puts the input on the wire into a guest, until it ends or over is closed.
func (in *Input) send(wire io.Writer, over <-chan struct{}) {
	f := &frames{w: wire}
	if in.Terminal && in.Resized != nil {
		go func() {
			for s := range in.Resized {
				_ = f.size(s)
			}
		}()
	}
	_, _ = io.Copy(f, in.reader(over))
	_ = f.send(frameEnd, nil)
}

// receive takes the input off the wire, inside the guest, until it ends.
func (j *joint) receive(wire io.Reader) error {
	r := bufio.NewReader(wire)
	w := window{terminal: j.outer}
	head, payload := make([]byte, 3), make([]byte, 1<<16)
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return err
		}
		body := payload[:binary.BigEndian.Uint16(head[1:])]
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		switch {
		case head[0] == frameData:
			// A command that takes no more must not keep sizes from its children.
			_, _ = j.outer.Write(body)
		case head[0] == frameSize && len(body) == 4 && j.terminal:
			w.resize(Size{binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])})
		case head[0] == frameEnd && j.terminal:
		case head[0] == frameEnd:
			return j.outer.Close()
		default:
			return errors.New("a frame of no known kind on the wire")
		}
	}
}
