// Package cache is the user's folder of what viplab makes once and then loads or executes:
// guest kernels, and the library that the guest needs on some processors. What lies there
// runs with the caller's rights, so nobody else may be able to put something in its place.
package cache

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

// Dir is a folder of the cache, made if it is not there: $XDG_CACHE_HOME/viplab/NAME, or
// below $HOME/.cache, or, where neither is set, in a folder of the user's own among
// temporary files.
//
// It belongs to the caller, is closed to everybody else, and lies where nobody else can put
// another one in its place: anything else is a [modes.MissingError].
func Dir(name string) (string, error) {
	dir, temporary := place(name)
	if temporary != "" {
		if err := own(temporary); err != nil {
			return "", named(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	if err := own(dir); err != nil {
		return "", err
	}
	return dir, safeAbove(dir)
}

// Find is [Dir] of a folder that is there already. It makes none: empty if it is not there.
func Find(name string) (string, error) {
	dir, _ := place(name)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return Dir(name)
}

// place is where a folder of the cache is, and the one among temporary files that it then lies in.
func place(name string) (dir, temporary string) {
	top, err := os.UserCacheDir()
	if err != nil {
		temporary = filepath.Join(os.TempDir(), "viplab-cache-"+strconv.Itoa(os.Geteuid()))
		top = temporary
	}
	return filepath.Join(top, "viplab", name), temporary
}

// Temp makes a folder for temporary files, in a folder or, if that is empty, where such files
// are on this machine.
func Temp(in, pattern string) (string, error) {
	dir, err := os.MkdirTemp(in, pattern)
	if err != nil {
		return "", named(fmt.Errorf("make a folder for temporary files: %w", err))
	}
	return dir, nil
}

// named adds to an error that TMPDIR leads nowhere, if it does.
func named(err error) error {
	dir := os.Getenv("TMPDIR")
	if st, serr := os.Stat(dir); dir != "" && (serr != nil || !st.IsDir()) {
		return fmt.Errorf("the environment variable TMPDIR is %s, which is no folder: %w", dir, err)
	}
	return err
}

// need is what is missing where a folder is not the caller's alone.
const need = "a cache folder that only you can write to"

// elsewhere is how to have one.
const elsewhere = "set XDG_CACHE_HOME to a folder of your own, or remove "

// own makes the folder if it is not there, and refuses one that others can
// enter or that belongs to somebody else.
func own(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the cache folder: %w", err)
	}
	if !st.IsDir() {
		return &modes.MissingError{Need: need, Mend: "rm " + dir, Err: fmt.Errorf("%s is no folder", dir)}
	}
	if owner := ownerOf(st); owner != os.Geteuid() {
		return &modes.MissingError{Need: need, Mend: elsewhere + dir, Err: fmt.Errorf("%s belongs to user %d", dir, owner)}
	}
	if open := st.Mode().Perm() & 0o077; open != 0 {
		return &modes.MissingError{Need: need, Mend: "chmod 700 " + dir, Err: fmt.Errorf("others may enter %s (mode %o)", dir, st.Mode().Perm())}
	}
	return nil
}

func ownerOf(st fs.FileInfo) int { return int(st.Sys().(*syscall.Stat_t).Uid) }

// safeAbove refuses a folder above which somebody else could rename one away: each must be
// the caller's or root's, and writable by them alone, or by a group of the same number as
// the user, as systems have that give each user one, or sticky, as /tmp is.
func safeAbove(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("look at the cache folder: %w", err)
	}
	for _, path := range []string{dir, real} {
		for at := filepath.Dir(path); ; at = filepath.Dir(at) {
			st, err := os.Lstat(at)
			if err != nil {
				return fmt.Errorf("look above the cache folder: %w", err)
			}
			if err := trusted(at, st); err != nil {
				return err
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return nil
}

// trusted refuses a folder, or a link, that others can change.
func trusted(at string, st fs.FileInfo) error {
	owner := ownerOf(st)
	if owner != 0 && owner != os.Geteuid() {
		return &modes.MissingError{Need: need, Mend: elsewhere + at, Err: fmt.Errorf("%s above it belongs to user %d", at, owner)}
	}
	if st.Mode()&(fs.ModeSticky|fs.ModeSymlink) != 0 {
		return nil
	}
	group := int(st.Sys().(*syscall.Stat_t).Gid)
	if perm := st.Mode().Perm(); perm&0o002 != 0 || perm&0o020 != 0 && group != owner {
		return &modes.MissingError{Need: need, Mend: "chmod go-w " + at, Err: fmt.Errorf("others may write to %s above it (mode %o)", at, perm)}
	}
	return nil
}

// Check says why a file of the cache must not be loaded or executed: it is no plain file,
// somebody else's, or others may write to it or to its folder.
func Check(path string) error {
	for _, at := range []string{filepath.Dir(path), path} {
		st, err := os.Lstat(at)
		if err != nil {
			return err
		}
		switch perm := st.Mode().Perm(); {
		case at == path && !st.Mode().IsRegular():
			return fmt.Errorf("%s is no plain file", at)
		case ownerOf(st) != os.Geteuid():
			return fmt.Errorf("%s belongs to user %d", at, ownerOf(st))
		case perm&0o022 != 0:
			return fmt.Errorf("others may write to %s (mode %o)", at, perm)
		}
	}
	return nil
}
