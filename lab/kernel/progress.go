package kernel

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
)

// guessObjects is how many files are taken to be compiled while no kernel of the
// cache says how many it had; it only serves the time left, of a first build.
const guessObjects = 930

// compiled tells whether a line of the kernel's make says that a file of the kernel
// is being compiled: "  CC      net/core/dev.o". Programs for the host (HOSTCC)
// and links are not counted.
func compiled(line string) bool {
	fields := strings.Fields(line)
	return len(fields) == 2 && (fields[0] == "CC" || fields[0] == "AS") && strings.HasSuffix(fields[1], ".o")
}

// progress reads what make prints, as a writer, and shows how much is compiled.
type progress struct {
	w     io.Writer
	bar   *progressbar.ProgressBar // nil: a line now and then
	start time.Time
	// done counts files, of which first were there before.
	first, done, total int
	said               int    // tenths that a line was written for
	part               []byte // of a line
	all                *bytes.Buffer
}

// newProgress starts at first of about total files. On a terminal it draws a bar.
func newProgress(w io.Writer, terminal bool, first, total int) *progress {
	total = max(total, first+1)
	p := &progress{w: w, start: time.Now(), first: first, done: first, total: total, said: first * 10 / total, all: &bytes.Buffer{}}
	if terminal {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("compile"),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(200*time.Millisecond),
			progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish())
		_ = p.bar.Set(first)
	}
	return p
}

// Write implements [io.Writer].
func (p *progress) Write(b []byte) (int, error) {
	p.all.Write(b)
	p.part = append(p.part, b...)
	for {
		line, rest, ok := bytes.Cut(p.part, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		p.part = rest
		if compiled(string(line)) {
			p.step()
		}
	}
}

func (p *progress) step() {
	p.done++
	if p.bar != nil {
		if p.done >= p.total { // the total was a guess, and the link is yet to come
			p.bar.ChangeMax(p.done + 1)
		}
		_ = p.bar.Set(p.done)
		return
	}
	if tenths := min(p.done*10/p.total, 10); tenths > p.said {
		p.said = tenths
		fmt.Fprintf(p.w, "  %d of about %d files compiled, %s\n", p.done, p.total, leftText(p.left(time.Now())))
	}
}

// left is how long the rest takes if it goes on as it did, 0 if there is none.
func (p *progress) left(now time.Time) time.Duration {
	made := p.done - p.first
	if made == 0 || p.done >= p.total {
		return 0
	}
	return now.Sub(p.start) / time.Duration(made) * time.Duration(p.total-p.done)
}

func leftText(d time.Duration) string {
	if d == 0 {
		return "nearly done"
	}
	return "about " + d.Round(time.Second).String() + " left"
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
