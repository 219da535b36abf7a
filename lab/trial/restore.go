package trial

import (
	"bufio"
	"context"
	"fmt"

	"viplab/modes"
)

// NoFlush keeps what is in the table already.
const NoFlush = "--noflush"

// RestoreFilter writes lines to table filter, in one restore. (Errors of the writer
// stick and come back from its last write.)
func RestoreFilter(ctx context.Context, lines func(*bufio.Writer), flags ...string) (modes.Cost, error) {
	_, cost, err := modes.Exec{}.Run(ctx, func(w *bufio.Writer) error {
		fmt.Fprintln(w, "*filter")
		lines(w)
		_, err := fmt.Fprintln(w, "COMMIT")
		return err
	}, "iptables-legacy-restore", flags...)
	return cost, err
}

// PlainSource is the i-th source address of rules that no packet of the lab's meets.
func PlainSource(i int) string {
	return fmt.Sprintf("198.%d.%d.%d/32", 18+i>>16&1, i>>8&255, i&255)
}
