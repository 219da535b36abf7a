package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"viplab/modes"
)

// buildSpace is what a build needs of the disk: the package (170 MB), the unpacked
// tree without what is left out (700 MB), and what is compiled (100 MB).
const buildSpace = 1200 << 20

// makeSpace is what mends a full disk.
const makeSpace = "make space, or set XDG_CACHE_HOME to where there is some"

func sizeText(bytes int64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }

// leftOut are parts of the source that are not unpacked. A kernel for user-mode-linux
// reads Kconfig files and Makefiles everywhere, so only code is left out, of
// places that hold most of it.
func leftOut() []string {
	dirs := []string{"drivers/gpu", "drivers/net/ethernet", "drivers/net/wireless", "drivers/media", "drivers/staging",
		"drivers/infiniband", "drivers/scsi", "sound"}
	for _, arch := range []string{"arm", "arm64", "mips", "powerpc", "s390", "riscv", "sparc", "sh", "m68k", "loongarch"} {
		dirs = append(dirs, "arch/"+arch)
	}
	var out []string
	for _, dir := range dirs {
		out = append(out, "*/"+dir+"/*.[chS]", "*/"+dir+"/*.dts", "*/"+dir+"/*.dtsi")
	}
	return append(out, "*/Documentation/*.rst", "*/Documentation/*.yaml", "*/tools/testing", "*/tools/perf")
}

// space says whether so many bytes fit on the disk of the folder.
func space(dir string, want int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look for space in %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < want {
		return &modes.MissingError{Need: sizeText(want) + " of free space in " + dir, Mend: makeSpace,
			Err: fmt.Errorf("%s are free", sizeText(free))}
	}
	return nil
}

// origin is where a kernel's source comes from: a package, or a path.
type origin struct {
	// text names it and tells it from others: what lies in a work folder of
	// another origin is not gone on with.
	text string
	// tree is the unpacked source if it is there already.
	tree string
	// archive is the file that is to be unpacked, fetched into the folder if it
	// must be.
	archive func(ctx context.Context, dir string) (string, error)
}

// archiveTime stands between an archive's path and the time of its last change.
const archiveTime = " of "

// pathOrigin is a folder or an archive of the user's.
func pathOrigin(path string) (origin, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return origin{}, fmt.Errorf("find kernel source: %w", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return origin{}, fmt.Errorf("find kernel source: %w", err)
	}
	if !st.IsDir() {
		text := fmt.Sprintf("%s%s%s", path, archiveTime, st.ModTime().UTC().Format("2006-01-02 15:04:05"))
		return origin{text: text, archive: func(context.Context, string) (string, error) { return path, nil }}, nil
	}
	if _, err := os.Stat(filepath.Join(path, "arch", "um", "Kconfig")); err != nil {
		return origin{}, fmt.Errorf("find kernel source: %s is no tree of the Linux kernel: %w", path, err)
	}
	return origin{text: path, tree: path}, nil
}

// packageOrigin is a package of Debian's. The archive inside it is what counts.
func packageOrigin(a apt, p aptPackage) origin {
	return origin{text: p.String(), archive: func(ctx context.Context, dir string) (string, error) {
		deb, err := a.download(ctx, p, dir)
		if err != nil {
			return "", err
		}
		if out, err := a.run.output(ctx, dir, "dpkg-deb", "-x", deb, dir); err != nil {
			return "", toolError("open "+deb, out, err)
		}
		found, _ := filepath.Glob(filepath.Join(dir, "usr/src", sourcePackage+"*.tar.*"))
		if len(found) != 1 {
			return "", fmt.Errorf("open %s: %d archives of source are in it", deb, len(found))
		}
		return found[0], nil
	}}
}

// interrupted is the source of a build that did not end, if its tree is whole.
func interrupted(dir string) (origin, bool) {
	text, err := os.ReadFile(filepath.Join(dir, originFile))
	if err != nil {
		return origin{}, false
	}
	w := work{dir: dir}
	if _, err := os.Stat(w.tree()); err != nil {
		return origin{}, false
	}
	return origin{text: string(text), tree: w.tree()}, true
}

// unpack makes the tree in dir out of an archive whose files lie below one folder.
// The tree appears when it is whole.
func (w work) unpack(ctx context.Context, archive string) error {
	tree, part := w.tree(), w.tree()+".part"
	if err := os.RemoveAll(part); err != nil {
		return fmt.Errorf("unpack kernel source: %w", err)
	}
	if err := os.Mkdir(part, 0o700); err != nil {
		return fmt.Errorf("unpack kernel source: %w", err)
	}
	args := []string{"-xf", archive, "-C", part, "--strip-components=1", "--no-same-owner", "--wildcards"}
	for _, pattern := range leftOut() {
		args = append(args, "--exclude="+pattern)
	}
	if out, err := w.run.output(ctx, w.dir, "tar", args...); err != nil {
		return toolError("unpack "+archive, out, err)
	}
	if _, err := os.Stat(filepath.Join(part, "arch/um/Kconfig")); err != nil {
		return fmt.Errorf("unpack %s: there is no tree of the Linux kernel in it: %w", archive, err)
	}
	if err := os.Rename(part, tree); err != nil {
		return fmt.Errorf("unpack kernel source: %w", err)
	}
	return nil
}

// objects counts the files that an interrupted build has compiled.
func (w work) objects() int {
	n := 0
	_ = filepath.WalkDir(w.out(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".o") {
			return nil
		}
		rel, err := filepath.Rel(w.out(), strings.TrimSuffix(path, ".o"))
		if err != nil || strings.HasPrefix(rel, "scripts/") {
			return nil
		}
		for _, ext := range []string{".c", ".S"} {
			if _, err := os.Stat(filepath.Join(w.source, rel+ext)); !errors.Is(err, fs.ErrNotExist) {
				n++
				break
			}
		}
		return nil
	})
	return n
}
