package testbed

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cavaliergopher/cpio"

	"viplab/lab/kernel"
)

// initramfs writes an archive that a kernel unpacks into its first file system: files of
// the host's under their own paths, with the libraries that they load.
type initramfs struct {
	w     *cpio.Writer
	libs  map[string]string // paths of shared libraries, by name
	added map[string]bool
}

// newInitramfs begins one, with the folders that a root file system has.
func newInitramfs(w io.Writer) (*initramfs, error) {
	a := &initramfs{w: cpio.NewWriter(w), added: map[string]bool{}}
	var err error
	if a.libs, err = sharedLibraries(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run", "/tmp", "/etc", "/mnt", "/var/lib"} {
		if err := a.folder(dir); err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib64"} {
		if to, err := os.Readlink(dir); err == nil {
			if err := a.link(dir, to); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

// sharedLibraries asks the dynamic linker's cache where libraries are.
func sharedLibraries() (map[string]string, error) {
	tool, err := kernel.LookTool("ldconfig")
	if err != nil {
		return nil, fmt.Errorf("find shared libraries: %w", err)
	}
	out, err := exec.Command(tool, "-p").Output()
	if err != nil {
		return nil, fmt.Errorf("find shared libraries: %w", err)
	}
	libs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		about, path, ok := strings.Cut(strings.TrimSpace(line), " => ")
		name, kind, _ := strings.Cut(about, " ")
		if _, have := libs[name]; ok && !have && strings.Contains(kind, "x86-64") {
			libs[name] = path
		}
	}
	return libs, nil
}

func (a *initramfs) put(name string, mode cpio.FileMode, body []byte) error {
	if a.added[name] {
		return nil
	}
	a.added[name] = true
	// Without times, so that the same files make the same archive.
	if err := a.w.WriteHeader(&cpio.Header{Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: int64(len(body)), Links: 1, Inode: int64(len(a.added))}); err != nil {
		return fmt.Errorf("add %s to the guest's files: %w", name, err)
	}
	if _, err := a.w.Write(body); err != nil {
		return fmt.Errorf("add %s to the guest's files: %w", name, err)
	}
	return nil
}

// folder adds a folder and those above it.
func (a *initramfs) folder(name string) error {
	if name == "/" || name == "." || a.added[name] {
		return nil
	}
	if err := a.folder(filepath.Dir(name)); err != nil {
		return err
	}
	return a.put(name, cpio.TypeDir|0o755, nil)
}

func (a *initramfs) link(name, to string) error {
	if err := a.folder(filepath.Dir(name)); err != nil {
		return err
	}
	return a.put(name, cpio.TypeSymlink|0o777, []byte(to))
}

// text adds a file of its own.
func (a *initramfs) text(name string, body []byte) error {
	if err := a.folder(filepath.Dir(name)); err != nil {
		return err
	}
	return a.put(name, cpio.TypeReg|0o755, body)
}

// host adds a file of the host's, the files that it is a link to, and the libraries that
// those load.
func (a *initramfs) host(path string) error {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("add %s to the guest's files: %w", path, err)
	}
	path = filepath.Join(dir, filepath.Base(path))
	if a.added[path] {
		return nil
	}
	if to, err := os.Readlink(path); err == nil {
		if err := a.link(path, to); err != nil {
			return err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(dir, to)
		}
		return a.host(to)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("add %s to the guest's files: %w", path, err)
	}
	if err := a.text(path, body); err != nil {
		return err
	}
	return a.loads(path)
}

// loads adds what a program or library loads: its dynamic linker and libraries.
func (a *initramfs) loads(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return nil // no program
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b, err := io.ReadAll(p.Open())
			if err != nil {
				return fmt.Errorf("read the dynamic linker of %s: %w", path, err)
			}
			if err := a.host(strings.TrimRight(string(b), "\x00")); err != nil {
				return err
			}
		}
	}
	names, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read the libraries of %s: %w", path, err)
	}
	for _, name := range names {
		at, ok := a.libs[name]
		if !ok {
			continue // the dynamic linker's, or one in a folder of the program's own
		}
		if err := a.host(at); err != nil {
			return err
		}
	}
	return nil
}

// below adds the files of a folder, those that a name is accepted of.
func (a *initramfs) below(dir, at string, accept func(path string) bool) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !accept(path) {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return a.text(filepath.Join(at, strings.TrimPrefix(path, dir)), body)
	})
	if err != nil {
		return fmt.Errorf("add %s to the guest's files: %w", dir, err)
	}
	return nil
}

// program adds what is to be run, by its path or, as a shell finds it, by its name.
func (a *initramfs) program(name string) error {
	if filepath.IsAbs(name) {
		return a.host(name)
	}
	path, err := kernel.LookTool(name)
	if err != nil {
		return err
	}
	return a.host(path)
}

// guestTools are what trials start in a guest, and what people look at it with; those that
// the host lacks, the guest lacks too.
func guestTools() []string {
	return []string{"sh", "modprobe", "ip", "iperf3", "ipset", "ipvsadm", "nft", "conntrack", "ss", "sysctl", "ping", "curl",
		"cat", "ls", "ps", "grep", "sed", "head", "tail", "sleep", "date", "uname", "dmesg", "true", "false", "env",
		"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore",
		"iptables-legacy", "iptables-legacy-save", "iptables-legacy-restore", "ip6tables-legacy", "ip6tables-legacy-save", "ip6tables-legacy-restore",
		"iptables-nft", "iptables-nft-save", "iptables-nft-restore", "ip6tables-nft", "ip6tables-nft-save", "ip6tables-nft-restore"}
}

// tools adds the guest's tools, with what they find by name: extensions of iptables, and
// names of protocols.
func (a *initramfs) tools() error {
	for _, t := range guestTools() {
		path, err := kernel.LookTool(t)
		if err != nil {
			continue
		}
		if err := a.host(path); err != nil {
			return err
		}
	}
	for _, pattern := range []string{"/usr/lib/*/xtables/*.so", "/usr/lib64/xtables/*.so", "/usr/lib/xtables/*.so"} {
		found, _ := filepath.Glob(pattern)
		for _, path := range found {
			if err := a.host(path); err != nil {
				return err
			}
		}
	}
	for _, path := range []string{"/etc/protocols", "/etc/services", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/alternatives/iptables"} {
		if err := a.host(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// modules adds what of a kernel's modules networks need, and their indices.
func (a *initramfs) modules(dir string) error {
	release := filepath.Base(dir)
	return a.below(dir, filepath.Join("/lib/modules", release), func(path string) bool {
		name := strings.TrimPrefix(path, dir+"/")
		if strings.HasPrefix(name, "modules.") {
			return true
		}
		if sub, ok := strings.CutPrefix(name, "kernel/drivers/net/"); ok {
			base, _, _ := strings.Cut(filepath.Base(sub), ".")
			return slices.Contains([]string{"veth", "dummy", "ifb", "tun"}, base)
		}
		return strings.HasPrefix(name, "kernel/net/") || strings.HasPrefix(name, "kernel/lib/") || strings.HasPrefix(name, "kernel/crypto/") ||
			strings.HasPrefix(name, "kernel/arch/")
	})
}
