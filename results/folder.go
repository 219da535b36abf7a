package results

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// folder is a run directory that may come from somebody else. The directory itself may be
// reached through links; what is below it is read and written without following any, and
// without leaving it.
type folder struct{ root *os.Root }

// openFolder opens a directory that is there.
func openFolder(dir string) (*folder, error) {
	if st, err := os.Stat(dir); err == nil && !st.IsDir() { // opening a pipe would wait for its other end
		return nil, &fs.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root}, nil
}

// makeFolder opens a directory, made with those above it if it is not there.
func makeFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	return openFolder(dir)
}

func (f *folder) close() { _ = f.root.Close() }

// LinkError says that something in a run directory is not the plain file or folder that it
// should be, so that it is not touched.
type LinkError struct{ Name, Is string }

// Error implements error.
func (e *LinkError) Error() string {
	return fmt.Sprintf("%s is %s, and a run directory holds plain files and folders only: remove it, or choose another directory", e.Name, e.Is)
}

// what is the name of a kind of file for people.
func what(st fs.FileInfo) string {
	switch mode := st.Mode(); {
	case mode&fs.ModeSymlink != 0:
		return "a link"
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&(fs.ModeDevice|fs.ModeCharDevice) != 0:
		return "a device"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a file"
}

// open opens a plain file. What waits for somebody (a pipe) or goes elsewhere (a link) is a
// [LinkError]; to write, so is a file of which there is a second name.
func (f *folder) open(name string, flags int) (*os.File, error) {
	before, err := f.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, &LinkError{f.path(name), what(before)}
	}
	file, err := f.root.OpenFile(name, flags|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := f.same(file, before, flags&(os.O_WRONLY|os.O_RDWR) != 0); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// same tells whether an open file is the one that was looked at, and, to write, the only
// name of it.
func (f *folder) same(file *os.File, before fs.FileInfo, write bool) error {
	st, err := file.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(before, st) {
		return &LinkError{f.path(before.Name()), "being replaced by somebody else"}
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Nlink > 1 && write {
		return &LinkError{f.path(before.Name()), "a file with a second name (a hard link)"}
	}
	return nil
}

// read is the content of a plain file.
func (f *folder) read(name string) ([]byte, error) {
	file, err := f.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

// create makes a file that is not there yet.
func (f *folder) create(name string) (*os.File, error) {
	return f.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o666)
}

func (f *folder) path(name string) string { return filepath.Join(f.root.Name(), name) }

// mkdir makes the folder that a file is to lie in, and refuses a link in its place.
func (f *folder) mkdir(name string) error {
	at := ""
	for part := range strings.SplitSeq(filepath.ToSlash(filepath.Dir(name)), "/") {
		at = filepath.Join(at, part)
		if at == "." {
			continue
		}
		if err := f.root.Mkdir(at, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if st, err := f.root.Lstat(at); err != nil {
			return err
		} else if !st.IsDir() {
			return &LinkError{f.path(at), what(st)}
		}
	}
	return nil
}

// File is one to write: a path below a run directory, and its content.
type File struct {
	Name    string
	Content []byte
}

// write puts files in their places: first all of them whole beside those, under names that
// nobody can foresee, then one renaming each. If it fails before that, what was there before
// is as it was.
func (f *folder) write(files []File) (err error) {
	parts := make([]string, 0, len(files))
	defer func() {
		for _, p := range parts {
			_ = f.root.Remove(p) // those that were renamed are no longer there
		}
	}()
	for _, one := range files {
		if err := f.mkdir(one.Name); err != nil {
			return err
		}
		part := filepath.Join(filepath.Dir(one.Name), ".viplab-"+rand.Text()+".part")
		file, err := f.create(part)
		if err != nil {
			return err
		}
		parts = append(parts, part)
		_, err = file.Write(one.Content)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	for i, one := range files {
		if err := f.root.Rename(parts[i], one.Name); err != nil {
			return err
		}
	}
	return nil
}

// WriteFiles writes files of a run directory, which is made if it is not there, so that
// each is there whole or not at all, and none is replaced before all are written. Nothing
// outside of the directory is touched, whatever links lie in it.
func WriteFiles(dir string, files ...File) error {
	f, err := makeFolder(dir)
	if err != nil {
		return fmt.Errorf("write to %s: %w", dir, err)
	}
	defer f.close()
	if err := f.write(files); err != nil {
		return fmt.Errorf("write to %s: %w", dir, err)
	}
	return nil
}

// WriteFile is [WriteFiles] of one file.
func WriteFile(dir, name string, b []byte) error {
	return WriteFiles(dir, File{name, b})
}

// ReadFile is the content of a plain file of a run directory; anything else of that name is
// a [LinkError].
func ReadFile(dir, name string) ([]byte, error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.read(name)
}
