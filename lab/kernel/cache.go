package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"viplab/modes"
)

// Dir is the folder of built kernels, made if it is not there:
// $XDG_CACHE_HOME/viplab/kernels, or below $HOME/.cache, or, where neither is
// set, in a folder of the user's own among temporary files.
//
// What lies there is executed, so the folder must belong to the caller and be
// closed to everybody else: anything else is a [modes.MissingError].
func Dir() (string, error) {
	top, err := os.UserCacheDir()
	if err != nil {
		top = filepath.Join(os.TempDir(), "viplab-cache-"+strconv.Itoa(os.Geteuid()))
		if err := private(top); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(top, "viplab", "kernels")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the folder of kernels: %w", err)
	}
	return dir, private(dir)
}

// private makes the folder if it is not there, and refuses one that others can
// enter or that belongs to somebody else.
func private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the folder of kernels: %w", err)
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the folder of kernels: %w", err)
	}
	need := "a folder of kernels that only you can write to"
	if !st.IsDir() {
		return &modes.MissingError{Need: need, Mend: "rm " + dir, Err: fmt.Errorf("%s is no folder", dir)}
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return &modes.MissingError{Need: need, Mend: "set XDG_CACHE_HOME to a folder of your own, or remove " + dir,
			Err: fmt.Errorf("%s belongs to user %d", dir, owner)}
	}
	if open := st.Mode().Perm() & 0o077; open != 0 {
		return &modes.MissingError{Need: need, Mend: "chmod 700 " + dir, Err: fmt.Errorf("others may enter %s (mode %o)", dir, st.Mode().Perm())}
	}
	return nil
}
