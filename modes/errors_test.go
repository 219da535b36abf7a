package modes_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"viplab/modes"
)

// TestFewFiles: a machine on which no more files can be opened is not said to lack what was
// looked for, whether that comes as an error or as another process' words.
func TestFewFiles(t *testing.T) {
	const of, in = "raise the limit of open files: ulimit -n 4096", "sudo sysctl fs.file-max=1000000"
	for _, c := range []struct {
		seen error
		mend string
	}{
		{fmt.Errorf("fork/exec /bin/x: %w", syscall.EMFILE), of},
		{errors.New("x: libm.so.6: cannot open shared object file: Too many open files"), of},
		{fmt.Errorf("pipe2: %w", syscall.ENFILE), in},
	} {
		err := &modes.MissingError{Need: "the tool x", Mend: "apt-get install x", Err: c.seen}
		if want := "missing: room for open files, to look for the tool x (" + c.seen.Error() + "); to mend: " + c.mend; err.Error() != want {
			t.Errorf("%s\nwant\n%s", err, want)
		}
	}
	err := &modes.MissingError{Need: "the tool x", Mend: "apt-get install x", Err: errors.New("not found")}
	if want := "missing: the tool x (not found); to mend: apt-get install x"; err.Error() != want {
		t.Errorf("%s\nwant\n%s", err, want)
	}
}
