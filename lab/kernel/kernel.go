package kernel

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"viplab/lab/cache"
	"viplab/modes"
)

// Kernel is one that a guest can be started with.
type Kernel struct {
	// Name is "debian" for the packaged one, the folder's name for a built one
	// and the path for any other.
	Name string `json:"name"`
	// Path is the executable, absolute.
	Path string `json:"-"`
	// Version is what the kernel calls itself, such as 7.3.4.
	Version string `json:"version"`
	// Source is the package and its version, or the folder or archive, that it
	// was built from; empty for a kernel that was not built here.
	Source string `json:"source"`
	// Modules is the folder of its modules, empty if it needs none.
	Modules string `json:"-"`
	// Args are further arguments of its command line.
	Args []string `json:"args,omitempty"`
	// Digest is the SHA-256 of the executable, of a built one.
	Digest string `json:"sha256"`
	// Fragment is the SHA-256 of the [Fragment] that a built one was made with.
	Fragment string `json:"fragment"`
	// SMP tells that a built one was made for several processors.
	SMP bool `json:"smp,omitempty"`
	// Lacks are the symbols of the fragment that this version does not have.
	Lacks []string `json:"lacks,omitempty"`
	// Objects is how many files were compiled.
	Objects int `json:"objects"`
	// Built is when the build ended, none for one that is packaged, CPUSeconds what it took
	// of all processors.
	Built      time.Time `json:"built,omitzero"`
	CPUSeconds float64   `json:"cpu_seconds"`
}

// Before tells whether the kernel is older than a version such as 6.13.
func (k Kernel) Before(version string) bool { return compareText(k.Version, version) < 0 }

// Current tells whether a built kernel was made with the [Fragment] of this program.
func (k Kernel) Current() bool { return k.Fragment == textDigest(Fragment(k.SMP)) }

// processors is how many it can have.
func (k Kernel) processors() int {
	if k.SMP {
		return MaxCPUs
	}
	return 1
}

// Debian is the name of the packaged kernel.
const Debian = "debian"

// Files of a built kernel's folder.
const (
	programFile = "linux.uml"
	configFile  = "config"
	metaFile    = "kernel.json"
)

// List is the built kernels, the newest version first, of one version that for one
// processor. Folders that are no whole kernel are left out.
func List() ([]Kernel, error) {
	dir, err := cache.Find(kernels)
	if err != nil || dir == "" {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list kernels: %w", err)
	}
	var out []Kernel
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if k, err := read(filepath.Join(dir, e.Name())); err == nil {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b Kernel) int {
		return cmp.Or(compareText(b.Version, a.Version), cmp.Compare(a.processors(), b.processors()))
	})
	return out, nil
}

// Newest is the built kernel of the highest version, digest checked. Without any it
// is a [modes.MissingError].
func Newest() (Kernel, error) {
	all, err := List()
	if err != nil {
		return Kernel{}, err
	}
	if len(all) == 0 {
		return Kernel{}, &modes.MissingError{Need: "a built kernel", Mend: "viplab kernel build"}
	}
	return all[0], all[0].Whole()
}

// Find is the kernel of that name, or at that path if it has a slash: the packaged
// one ([Debian]), or a built one, whose digest it checks.
func Find(ctx context.Context, name string) (Kernel, error) {
	switch {
	case name == Debian:
		return Packaged(ctx)
	case strings.ContainsRune(name, filepath.Separator):
		return At(ctx, name)
	}
	all, err := List()
	if err != nil {
		return Kernel{}, err
	}
	names := []string{Debian}
	for _, k := range all {
		if k.Name == name {
			return k, k.Whole()
		}
		names = append(names, k.Name)
	}
	return Kernel{}, &modes.MissingError{Need: fmt.Sprintf("kernel %q (there are %s)", name, strings.Join(names, ", ")), Mend: makes(name)}
}

// makes is the command after which there may be a kernel of that name.
func makes(name string) string {
	o := Options{}
	o.Version, o.SMP = strings.CutSuffix(name, smpSuffix)
	switch err := o.Check(); {
	case err != nil:
		return "viplab kernel build --help tells how to build one"
	case o.SMP:
		return "viplab kernel build --smp " + o.Version
	}
	return "viplab kernel build " + name
}

// ErrUnknown is that no kernel of that name was built.
var ErrUnknown = errors.New("no such kernel was built; `viplab kernel list` names those that were")

// Remove deletes a built kernel, and what is left of an interrupted build of it. The
// error is [ErrUnknown] if there is neither.
func Remove(ctx context.Context, name string, w io.Writer) error {
	if !nameText.MatchString(name) {
		return fmt.Errorf("remove kernel %q: %w", name, ErrUnknown)
	}
	dir, err := cache.Find(kernels)
	if err != nil {
		return err
	}
	if dir == "" {
		return fmt.Errorf("remove kernel %q: %w", name, ErrUnknown)
	}
	unlock, err := lock(ctx, dir, w)
	if err != nil {
		return err
	}
	defer unlock()
	found := false
	for _, path := range []string{filepath.Join(dir, name), workDir(dir, name)} {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found = true
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove kernel %s: %w", name, err)
		}
	}
	if !found {
		return fmt.Errorf("remove kernel %q: %w", name, ErrUnknown)
	}
	return nil
}

// read describes the kernel in a folder of the cache.
func read(dir string) (Kernel, error) {
	b, err := os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		return Kernel{}, fmt.Errorf("read kernel: %w", err)
	}
	var k Kernel
	if err := json.Unmarshal(b, &k); err != nil {
		return Kernel{}, fmt.Errorf("read kernel %s: %w", dir, err)
	}
	k.Name, k.Path = filepath.Base(dir), filepath.Join(dir, programFile)
	return k, nil
}

// Whole says, as a [modes.MissingError], whether the executable is not the one that was
// built, by the digest that the build noted, or can be changed by somebody else.
func (k Kernel) Whole() error {
	err := cache.Check(k.Path)
	if err == nil {
		var digest string
		if digest, err = fileDigest(k.Path); err == nil && digest == k.Digest {
			return nil
		}
	}
	if err == nil {
		err = fmt.Errorf("the digest of %s is not the one noted when it was built", k.Path)
	}
	return &modes.MissingError{Need: "kernel " + k.Name + ", whole", Mend: k.Rebuild(), Err: err}
}

// Rebuild is the command that makes the kernel anew, or what helps where none does.
func (k Kernel) Rebuild() string {
	if k.Source == "" {
		return "use another kernel (viplab kernel list names them)"
	}
	o := Options{Version: debianSeries(k.Source), SMP: k.SMP}
	words := []string{"viplab kernel build --force"}
	if k.SMP {
		words = append(words, "--smp")
	}
	if o.Version == "" {
		// An archive is named with the time of its last change.
		source, _, _ := strings.Cut(k.Source, archiveTime)
		words = append(words, "--source", shellescape.Quote(source))
	}
	if k.Name != o.suffixed(o.Version) {
		words = append(words, "--name", k.Name)
	}
	if o.Version != "" {
		words = append(words, o.Version)
	}
	return strings.Join(words, " ")
}

// debianSeries is the version in the name of a package with kernel source, empty for
// another source.
func debianSeries(source string) string {
	name, _, _ := strings.Cut(source, " ")
	series, ok := strings.CutPrefix(name, sourcePackage)
	if !ok {
		return ""
	}
	return series
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func textDigest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Packaged is the distribution's user-mode-linux kernel.
func Packaged(ctx context.Context) (Kernel, error) {
	missing := &modes.MissingError{Need: "user-mode-linux", Mend: "sudo apt-get install user-mode-linux"}
	path, err := LookTool(programFile)
	if err != nil {
		missing.Err = err
		return Kernel{}, missing
	}
	k, err := At(ctx, path)
	if err != nil {
		return Kernel{}, err
	}
	dirs, _ := filepath.Glob("/usr/lib/uml/modules/*")
	if len(dirs) == 0 {
		missing.Err = errors.New("/usr/lib/uml/modules is empty")
		return Kernel{}, missing
	}
	k.Name, k.Modules = Debian, dirs[len(dirs)-1]
	return k, nil
}

// At is the kernel at a path, which is asked for its version and its options.
func At(ctx context.Context, path string) (Kernel, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Kernel{}, fmt.Errorf("find kernel %s: %w", path, err)
	}
	version, err := ask(ctx, path, "--version")
	if err != nil {
		return Kernel{}, err
	}
	options, err := ask(ctx, path, "--help")
	if err != nil {
		return Kernel{}, err
	}
	return Kernel{Name: path, Path: path, Version: strings.TrimSpace(version), Args: argsFor(options)}, nil
}

// argsFor picks arguments that make a guest faster where the kernel has them,
// from the text of its --help. With seccomp=on, from 6.16, a system call costs
// one switch of processes less than with ptrace.
func argsFor(help string) []string {
	if strings.Contains(help, "seccomp=") {
		return []string{"seccomp=on"}
	}
	return nil
}

// Option is one of a kernel's command line that not every kernel has.
type Option struct {
	word, need, mend string
}

// TimeTravel lets a guest's time pass by itself: what computes takes none.
func TimeTravel() Option {
	return Option{"time-travel=", "time travel (UML_TIME_TRAVEL_SUPPORT)", "viplab kernel build, which has it"}
}

// Processors gives a guest several processors.
func Processors() Option {
	return Option{"ncpus=", "several processors (SMP, which 7.3 has and 6.12 has not)", "viplab kernel build --smp"}
}

// String is the option's name, with what stands before its value.
func (o Option) String() string { return o.word }

// Takes says, as a [modes.MissingError], whether a kernel does not know an option.
func (k Kernel) Takes(ctx context.Context, o Option) error {
	options, err := ask(ctx, k.Path, "--help")
	if err != nil {
		return err
	}
	if !strings.Contains(options, o.word) {
		return &modes.MissingError{Need: o.need + " in the guest's kernel " + k.Name, Mend: o.mend}
	}
	return nil
}

// askLimit is how long a kernel may take to print its version.
const askLimit = 10 * time.Second

// ask runs a user-mode-linux kernel with an option that prints something and ends.
func ask(ctx context.Context, path, option string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, option)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil || len(out) == 0 {
		return "", &modes.MissingError{Need: "a user-mode-linux kernel that starts at " + path, Mend: "viplab kernel build, or another path", Err: err}
	}
	return string(out), nil
}
