package results

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// BusyError says that another process writes to a run directory.
type BusyError struct{ Dir string }

// Error implements error.
func (e *BusyError) Error() string {
	return fmt.Sprintf("another viplab is writing to %s: wait for it to end, or choose another directory", e.Dir)
}

// Lock takes the only right to write records to a directory that is there, and leaves no
// file in it. The lock ends with unlock or the process. If another process has it, it is a
// [BusyError] at once.
func Lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock the run directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &BusyError{dir}
		}
		if slices.ContainsFunc(noLocks(), func(e error) bool { return errors.Is(err, e) }) {
			return func() { f.Close() }, nil
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

// noLocks are what file systems say that have no locks of folders, such as NFS. There the
// caller must see to it that one process writes.
func noLocks() []error {
	return []error{unix.ENOLCK, unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL, unix.EBADF}
}
