package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"viplab/modes"
)

// Options say what to build.
type Options struct {
	// Version is a series of Debian's, such as 7.3; empty is the newest one.
	Version string
	// Source is a folder or an archive of kernel source, in place of Debian's.
	Source string
	// Name is the kernel's in the cache: if empty, Version, or the version of the
	// Source.
	Name string
	// SMP builds one for several processors, which has no time travel.
	SMP bool
	// Force builds also what is there already.
	Force bool
	// Jobs is how many compilers run at once, as many as processors if 0.
	Jobs int
	// Progress gets what is being done, for people; Terminal makes it a bar.
	Progress io.Writer
	Terminal bool
}

// builder is a build that goes on.
type builder struct {
	Options
	dir string // of the cache
	cpu time.Duration
}

// Build makes a kernel, or takes the one that is there if it was made of the same
// source and [Fragment]. Only one build goes on at a time for each user. If it is
// interrupted, by ctx or otherwise, the next one of the same kernel goes on where it
// stopped.
func Build(ctx context.Context, o Options) (Kernel, error) {
	if err := o.Check(); err != nil {
		return Kernel{}, err
	}
	dir, err := Dir()
	if err != nil {
		return Kernel{}, err
	}
	unlock, err := lock(ctx, dir, o.Progress)
	if err != nil {
		return Kernel{}, err
	}
	defer unlock()
	b := &builder{Options: o, dir: dir}
	if o.Version != "" { // there is no need to ask the archive
		if k, ok := b.there(b.Name, ""); ok {
			return k, nil
		}
	}
	from, err := origin{}, probeTools(LookTool)
	if err == nil {
		from, err = b.origin(ctx)
	}
	if err != nil {
		err = fullDisk(err)
		if k, ok := b.kept(err); ok {
			return k, nil
		}
		return Kernel{}, err
	}
	if from.tree == "" { // what is in a folder may have changed
		if k, ok := b.there(b.Name, from.text); ok {
			return k, nil
		}
	}
	k, err := b.build(ctx, from)
	if ctx.Err() != nil {
		return k, fmt.Errorf("the build was stopped, and the same command goes on with it: %w", err)
	}
	return k, fullDisk(err)
}

// nameText is what a kernel of the cache may be called: its name is a folder's.
var nameText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Check fills in the name and the jobs, and refuses what makes no sense with one
// sentence. Build calls it as well.
func (o *Options) Check() error {
	if o.Version != "" {
		v, err := ParseVersion(o.Version)
		if err != nil {
			return err
		}
		if o.Source != "" {
			return errors.New("build a kernel: give a version of Debian's, or --source, not both")
		}
		if len(v) != 2 || v.String() != o.Version {
			return fmt.Errorf("build kernel %q: Debian's source is named by two numbers, as %s", o.Version, v.Series())
		}
	}
	if o.Name == "" && o.Version != "" {
		o.Name = o.suffixed(o.Version)
	}
	if o.Source != "" {
		if _, err := pathOrigin(o.Source); err != nil {
			return err
		}
		if o.Name == "" {
			o.Name = o.suffixed(sourceName(o.Source))
		}
	}
	if o.Name != "" && !nameText.MatchString(o.Name) {
		return fmt.Errorf("build a kernel named %q: a name has letters, digits, '.', '_' and '-', and begins with a letter or digit", o.Name)
	}
	if o.Name == Debian {
		return fmt.Errorf("build a kernel named %q: that is the packaged one's name", o.Name)
	}
	if o.Jobs <= 0 {
		o.Jobs = runtime.NumCPU()
	}
	return nil
}

// smpSuffix ends the name of a kernel for several processors.
const smpSuffix = "-smp"

// suffixed is the name that a kernel gets by itself: one for several processors does
// not take another one's place.
func (o *Options) suffixed(name string) string {
	if o.SMP {
		return name + smpSuffix
	}
	return name
}

// sourceName is a name for a kernel built from a folder or an archive: that of the
// folder, without what archives end with.
func sourceName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".tar")
	return name
}

// there is the kernel of that name if it is in the cache, whole, made with the
// fragment of this program, and from that source unless it is empty.
func (b *builder) there(name, source string) (Kernel, bool) {
	if b.Force || name == "" {
		return Kernel{}, false
	}
	k, err := read(filepath.Join(b.dir, name))
	if err != nil || k.Whole() != nil || !k.Current() || k.SMP != b.SMP || (source != "" && k.Source != source) {
		return Kernel{}, false
	}
	b.sayf("kernel %s (%s) is there already", k.Name, k.Source)
	return k, true
}

// kept is a kernel that is there, where any will do and a newer one cannot be asked for.
func (b *builder) kept(why error) (Kernel, bool) {
	if b.Force || b.Name != "" || b.Source != "" || !modes.IsMissing(why) {
		return Kernel{}, false
	}
	list, err := List()
	if err != nil {
		return Kernel{}, false
	}
	for _, k := range list {
		if k.SMP == b.SMP && k.Current() && k.Whole() == nil {
			b.sayf("%v", why)
			b.sayf("kernel %s (%s) is there, and stays", k.Name, k.Source)
			return k, true
		}
	}
	return Kernel{}, false
}

// origin finds the source, and the name if none was given.
func (b *builder) origin(ctx context.Context) (origin, error) {
	if b.Source != "" {
		return pathOrigin(b.Source)
	}
	from, ok := interrupted(workDir(b.dir, b.Name))
	if ok && !b.Force && b.Version != "" && strings.HasPrefix(from.text, sourcePackage+b.Version+" ") {
		b.sayf("go on with the build of %s that was interrupted", from.text)
		return from, nil
	}
	if err := space(b.dir, buildSpace); err != nil {
		return origin{}, err
	}
	a := apt{dir: filepath.Join(b.dir, ".apt")}
	b.sayf("look for kernel source in Debian's archive")
	if err := a.update(ctx); err != nil {
		return origin{}, err
	}
	p, err := a.find(ctx, b.Version)
	if err != nil {
		return origin{}, err
	}
	if b.Name == "" {
		b.Name = b.suffixed(p.series)
	}
	return packageOrigin(a, p), nil
}

// build does all the steps that no earlier build of the same origin did.
func (b *builder) build(ctx context.Context, from origin) (Kernel, error) {
	if b.Force {
		if err := os.RemoveAll(workDir(b.dir, b.Name)); err != nil {
			return Kernel{}, fmt.Errorf("clear the folder of the build: %w", err)
		}
	}
	w, err := openWork(workDir(b.dir, b.Name), from.text)
	if err != nil {
		return Kernel{}, err
	}
	log, err := os.OpenFile(w.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return Kernel{}, fmt.Errorf("open the log of the build: %w", err)
	}
	defer log.Close()
	w.run = runner{log: log, cpu: &b.cpu}
	if err := b.source(ctx, &w, from); err != nil {
		return Kernel{}, err
	}
	k := Kernel{Name: b.Name, Source: from.text, SMP: b.SMP}
	b.sayf("configure it")
	if err := w.configure(ctx, Fragment(b.SMP)); err != nil {
		return k, err
	}
	first := w.objects()
	p := newProgress(b.Progress, b.Terminal, first, b.objects())
	b.sayf("compile it, %d of about %d files are there already", first, p.total)
	if err := w.compile(ctx, b.Jobs, p); err != nil {
		return k, err
	}
	k.Objects, k.CPUSeconds = p.done, b.cpu.Seconds()
	if k, err = w.publish(ctx, k); err != nil {
		return k, err
	}
	b.sayf("kernel %s is %s, %.0f s of processor time", k.Version, k.Path, k.CPUSeconds)
	return k, os.RemoveAll(w.dir)
}

// source has the tree ready that is compiled.
func (b *builder) source(ctx context.Context, w *work, from origin) error {
	if w.source = from.tree; w.source != "" {
		return nil
	}
	w.source = w.tree()
	if _, err := os.Stat(w.source); err == nil {
		return nil
	}
	if err := space(w.dir, buildSpace); err != nil {
		return err
	}
	b.sayf("fetch %s", from.text)
	archive, err := from.archive(ctx, w.packages())
	if err != nil {
		return err
	}
	b.sayf("unpack %s", filepath.Base(archive))
	if err := w.unpack(ctx, archive); err != nil {
		return err
	}
	return os.RemoveAll(w.packages())
}

// objects is about how many files there are to compile.
func (b *builder) objects() int {
	if all, err := List(); err == nil {
		for _, k := range all {
			if k.Current() && k.Objects > 0 {
				return k.Objects
			}
		}
	}
	return guessObjects
}

func (b *builder) sayf(format string, args ...any) {
	fmt.Fprintf(b.Progress, format+"\n", args...)
}
