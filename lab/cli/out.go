package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"viplab/results"
)

// below is a folder of a directory that may come from somebody else: a link in its place
// is refused.
func below(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSymlink != 0 {
		return "", usagef("%s is a link: remove it, or choose another directory", path)
	}
	return path, nil
}

// checkOut finds a place for the run directory and proves that it can be made and
// written, before minutes are spent on measuring. It makes nothing.
func (a app) checkOut(dir *string) error {
	if *dir == "" {
		now := time.Now()
		*dir = filepath.Join(runsDir, results.NewName(now, fmt.Appendf(nil, "%v %d %d", a.command, now.UnixNano(), os.Getpid())))
	}
	st, err := os.Stat(*dir)
	if err == nil && !st.IsDir() {
		return usagef("--out %s is a file, not a folder", *dir)
	}
	if err != nil {
		if there, err := makeable(*dir); err != nil {
			return usagef("--out %s cannot be made: %s: %w", *dir, there, err)
		}
		return nil
	}
	if err := unix.Access(*dir, unix.W_OK|unix.X_OK); err != nil {
		return usagef("--out %s cannot be written: %w", *dir, err)
	}
	if entries, err := os.ReadDir(*dir); err == nil && len(entries) > 0 {
		return usagef("--out %s is not empty: choose a new folder", *dir)
	}
	return nil
}

// makeable tells whether a folder can be made, and names the one above it that is there.
func makeable(dir string) (there string, err error) {
	there, err = filepath.Abs(dir)
	if err != nil {
		return dir, err
	}
	for {
		st, err := os.Stat(there)
		switch {
		case err == nil && !st.IsDir():
			return there, unix.ENOTDIR
		case err == nil:
			return there, unix.Access(there, unix.W_OK|unix.X_OK)
		case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTDIR):
			return there, err
		case filepath.Dir(there) == there:
			return there, err
		}
		if _, err := os.Lstat(there); err == nil {
			return there, errors.New("it is a link to nowhere")
		}
		there = filepath.Dir(there)
	}
}

// latest points results/runs/latest at a run in that folder. It is a convenience: its
// failure is no failure.
func latest(dir string) {
	if filepath.Base(filepath.Dir(dir)) != filepath.Base(runsDir) {
		return
	}
	link := filepath.Join(filepath.Dir(dir), results.LatestLink)
	if st, err := os.Lstat(link); err == nil && st.Mode()&os.ModeSymlink == 0 {
		return // somebody's own file or folder
	}
	part := filepath.Join(filepath.Dir(dir), ".latest-"+rand.Text())
	if err := os.Symlink(filepath.Base(dir), part); err != nil {
		return
	}
	if err := os.Rename(part, link); err != nil {
		_ = os.Remove(part)
	}
}
