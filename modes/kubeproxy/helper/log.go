package helper

import (
	"strings"
	"sync"
)

// lastLines keeps the last errors that were logged, for who asks what went wrong.
type lastLines struct {
	mu    sync.Mutex
	lines []string
}

// keptLines is how many of them are kept.
const keptLines = 3

// Write implements [io.Writer] for klog, whose lines begin with their severity.
func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line := strings.TrimSpace(string(b)); strings.HasPrefix(line, "E") {
		l.lines = append(l.lines, line)
		l.lines = l.lines[max(0, len(l.lines)-keptLines):]
	}
	return len(b), nil
}

// take gives them, and forgets them.
func (l *lastLines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.lines
	l.lines = nil
	return out
}
