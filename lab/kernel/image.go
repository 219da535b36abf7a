package kernel

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"viplab/lab/cache"
	"viplab/modes"
)

// imagePackage is Debian's package that depends on its newest kernel image for virtual
// machines: a fourth of the size of the one for all hardware, with all of netfilter, IPVS,
// BPF with its compiler, and BTF.
const imagePackage = "linux-image-cloud-amd64"

// imageSpace is what it needs of the disk: the lists of packages (60 MB), the package and
// what is in it.
const imageSpace = 300 << 20

// Image is a distribution's kernel as it is packaged, which testbed qemu boots.
type Image struct {
	// Name is the release, such as 6.1.0-56-cloud-amd64.
	Name string
	// Path is the bootable file, Modules the folder of its modules.
	Path, Modules string
}

// imageAt is the image of that release below a folder that a package was opened in.
func imageAt(dir, release string) Image {
	return Image{release, filepath.Join(dir, "boot", "vmlinuz-"+release), filepath.Join(dir, "lib", "modules", release)}
}

// NewestImage is the image of the highest version in the user's cache. Without any it is a
// [modes.MissingError].
func NewestImage() (Image, error) {
	dir, err := cache.Find(images)
	if err != nil {
		return Image{}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && dir != "" {
		return Image{}, fmt.Errorf("list kernel images: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return Image{}, &modes.MissingError{Need: "a distribution's kernel image", Mend: "viplab kernel fetch"}
	}
	name := slices.MaxFunc(names, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) })
	return imageAt(filepath.Join(dir, name), name), nil
}

// numbers are those in the name of a release, in order.
func numbers(release string) (out []int) {
	for _, digits := range strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' }) {
		n, _ := strconv.Atoi(digits) // of digits alone
		out = append(out, n)
	}
	return out
}

// FetchImage takes the newest kernel image for virtual machines out of Debian's archive into
// the user's cache, with an apt of its own, signatures checked. What is there already is
// not fetched again. Lines for people go to progress.
func FetchImage(ctx context.Context, progress io.Writer) (Image, error) {
	dir, err := cache.Dir(images)
	if err != nil {
		return Image{}, err
	}
	unlock, err := lock(ctx, dir, progress)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if err := space(dir, imageSpace); err != nil {
		return Image{}, err
	}
	a := apt{dir: filepath.Join(dir, ".apt")}
	fmt.Fprintln(progress, "look for a kernel image in Debian's archive")
	if err := a.update(ctx); err != nil {
		return Image{}, fullDisk(err)
	}
	name, err := a.imageName(ctx)
	if err != nil {
		return Image{}, err
	}
	release := strings.TrimPrefix(name, "linux-image-")
	at := filepath.Join(dir, release)
	if _, err := os.Stat(at); err == nil {
		return imageAt(at, release), nil
	}
	fmt.Fprintf(progress, "fetch %s, some 30 MB\n", name)
	return imageAt(at, release), fullDisk(a.unpackImage(ctx, name, release, at))
}

// imageName is the package that imagePackage depends on.
func (a apt) imageName(ctx context.Context) (string, error) {
	out, err := a.run.output(ctx, a.dir, "apt-cache", "-c", a.config(), "depends", imagePackage)
	if err != nil {
		return "", aptError("find a kernel image", out, err)
	}
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(name, "linux-image-") {
			return name, nil
		}
	}
	return "", aptError("find a kernel image", out, fmt.Errorf("%s depends on none", imagePackage))
}

// unpackImage fetches a package, opens it, lists its modules, and puts the whole in its
// place.
func (a apt) unpackImage(ctx context.Context, name, release, at string) error {
	work := filepath.Join(filepath.Dir(at), "."+release+".part")
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("clear %s: %w", work, err)
	}
	defer os.RemoveAll(work)
	opened := filepath.Join(work, "opened")
	if err := os.MkdirAll(opened, 0o700); err != nil {
		return fmt.Errorf("make a folder for %s: %w", name, err)
	}
	out, err := a.run.output(ctx, work, "apt-get", "-c", a.config(), "-q", "download", name)
	if err != nil {
		return aptError("fetch "+name, out, err)
	}
	found, _ := filepath.Glob(filepath.Join(work, name+"_*.deb"))
	if len(found) != 1 {
		return fmt.Errorf("fetch %s: apt-get left %d files", name, len(found))
	}
	if out, err := a.run.output(ctx, work, "dpkg-deb", "-x", found[0], opened); err != nil {
		return toolError("open "+name, out, err)
	}
	if out, err := a.run.output(ctx, work, "depmod", "-b", opened, release); err != nil {
		return toolError("list the modules of "+name, out, err)
	}
	return os.Rename(opened, at)
}
