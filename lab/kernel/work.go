package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"viplab/modes"
)

// work is the folder of one build, which lasts until the kernel is there: a build
// that was interrupted goes on in it.
type work struct {
	dir    string
	source string // the tree that is compiled
	run    runner
}

// workDir is where a kernel of that name is built.
func workDir(dir, name string) string { return filepath.Join(dir, ".build-"+name) }

func (w work) tree() string    { return filepath.Join(w.dir, "tree") }
func (w work) out() string     { return filepath.Join(w.dir, "out") }
func (w work) logPath() string { return filepath.Join(w.dir, "log") }

// packages is where a package with source is fetched to and opened.
func (w work) packages() string { return filepath.Join(w.dir, "package") }

// originFile notes what source the folder is for.
const originFile = "origin"

// openWork makes the folder, or takes up what an interrupted build from the same
// origin left there.
func openWork(dir, from string) (work, error) {
	w := work{dir: dir}
	mark := filepath.Join(dir, originFile)
	if b, err := os.ReadFile(mark); err == nil && string(b) != from {
		if err := os.RemoveAll(dir); err != nil {
			return w, fmt.Errorf("clear %s: %w", dir, err)
		}
	}
	if err := os.MkdirAll(w.out(), 0o700); err != nil {
		return w, fmt.Errorf("make the folder of the build: %w", err)
	}
	if err := os.WriteFile(mark, []byte(from), 0o600); err != nil {
		return w, fmt.Errorf("make the folder of the build: %w", err)
	}
	return w, nil
}

// make runs the kernel's make, with its output beside the tree.
func (w work) make(ctx context.Context, out io.Writer, args ...string) error {
	return w.run.start(ctx, w.source, out, "make", append([]string{"ARCH=um", "O=" + w.out()}, args...)...)
}

// failed is what went wrong with a tool, and where all that it said can be read.
func (w work) failed(what, out string, err error) error {
	err = toolError(what, out, err)
	if modes.IsMissing(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w; all that was said is in %s", err, w.logPath())
}

// configure makes the configuration out of the fragment.
func (w work) configure(ctx context.Context, fragment string) error {
	path := filepath.Join(w.dir, "fragment")
	if err := os.WriteFile(path, []byte(fragment), 0o600); err != nil {
		return fmt.Errorf("write the kernel's configuration: %w", err)
	}
	w.run.env = append(w.run.env, "KCONFIG_ALLCONFIG="+path)
	var out strings.Builder
	if err := w.make(ctx, io.MultiWriter(&out, w.run.log), "allnoconfig"); err != nil {
		return w.failed("configure the kernel", out.String(), err)
	}
	return nil
}

// compile makes the kernel, and shows how far it is.
func (w work) compile(ctx context.Context, jobs int, p *progress) error {
	defer p.end()
	if err := w.make(ctx, io.MultiWriter(p, w.run.log), "-j"+strconv.Itoa(jobs), "linux"); err != nil {
		return w.failed("compile the kernel", p.all.String(), err)
	}
	return nil
}

// publish puts the stripped kernel with its configuration and description into
// the cache, in one step.
func (w work) publish(ctx context.Context, k Kernel) (Kernel, error) {
	cache := filepath.Dir(w.dir)
	part := filepath.Join(w.dir, "new")
	if err := errors.Join(os.RemoveAll(part), os.Mkdir(part, 0o700)); err != nil {
		return k, fmt.Errorf("keep the kernel: %w", err)
	}
	program := filepath.Join(part, programFile)
	if out, err := w.run.output(ctx, w.dir, "strip", "-o", program, filepath.Join(w.out(), "linux")); err != nil {
		return k, w.failed("strip the kernel", out, err)
	}
	seen, err := At(ctx, program)
	if err != nil {
		return k, err
	}
	config, err := os.ReadFile(filepath.Join(w.out(), ".config"))
	if err != nil {
		return k, fmt.Errorf("keep the kernel: %w", err)
	}
	fragment := Fragment(k.SMP)
	k.Version, k.Args, k.Lacks, k.Fragment = seen.Version, seen.Args, lacking(fragment, string(config)), textDigest(fragment)
	if k.Digest, err = fileDigest(program); err != nil {
		return k, fmt.Errorf("keep the kernel: %w", err)
	}
	k.Built = time.Now().UTC().Truncate(time.Second)
	meta, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return k, fmt.Errorf("keep the kernel: %w", err)
	}
	err = errors.Join(os.WriteFile(filepath.Join(part, configFile), config, 0o600), os.WriteFile(filepath.Join(part, metaFile), append(meta, '\n'), 0o600))
	if err == nil {
		err = replace(part, filepath.Join(cache, k.Name), filepath.Join(w.dir, "old"))
	}
	if err != nil {
		return k, fmt.Errorf("keep the kernel: %w", err)
	}
	return read(filepath.Join(cache, k.Name))
}

// replace puts a folder in the place of another, which goes aside first.
func replace(part, to, aside string) error {
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(to, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(part, to)
}
