package ebpf

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"viplab/modes"
)

// group is a control group of our own below the one that this process was in. Programs
// see what is dialled by those in it, and nobody else of the machine is touched.
type group struct {
	mount        int // descriptor of a mount of cgroup v2 that no directory shows
	parent, path string
	joined       bool
}

// newGroup makes a control group. It mounts the file system for itself, since a testbed
// may show none, or an old one.
func newGroup() (*group, error) {
	fail := func(what string, err error) error {
		return &modes.MissingError{Need: "control groups v2 (" + what + ")", Mend: "run as root on a kernel with CONFIG_CGROUP_BPF, or use --attach tc", Err: err}
	}
	fs, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fail("open the file system", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fail("set the file system up", err)
	}
	g := &group{}
	if g.mount, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0); err != nil {
		return nil, fail("mount the file system", err)
	}
	own, err := ownGroup()
	if err != nil {
		return nil, errors.Join(fail("find this process's group", err), unix.Close(g.mount))
	}
	g.parent = filepath.Join(fmt.Sprintf("/proc/self/fd/%d", g.mount), own)
	if g.path, err = os.MkdirTemp(g.parent, groupPrefix+"*"); err != nil {
		return nil, errors.Join(fail("make a group", err), unix.Close(g.mount))
	}
	return g, nil
}

// groupPrefix begins the names of our groups.
const groupPrefix = "viplab-ebpf-"

// ownGroup is the path of the group of this process, from the root of cgroup v2.
func ownGroup() (string, error) {
	f, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if path, ok := strings.CutPrefix(lines.Text(), "0::"); ok {
			return path, nil
		}
	}
	return "", errors.New("the kernel has no cgroup v2")
}

// join moves this process with all its threads into the group.
func (g *group) join() error {
	if err := os.WriteFile(filepath.Join(g.path, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("join the control group %s: %w", filepath.Base(g.path), err)
	}
	g.joined = true
	return nil
}

// close moves all that are in the group back to where we were, and removes it.
func (g *group) close() error {
	if g == nil {
		return nil
	}
	defer unix.Close(g.mount)
	back := filepath.Join(g.parent, "cgroup.procs")
	if g.joined {
		if err := os.WriteFile(back, []byte("0"), 0); err != nil {
			return fmt.Errorf("leave the control group %s: %w", filepath.Base(g.path), err)
		}
	}
	// Children that were started meanwhile.
	left, err := os.ReadFile(filepath.Join(g.path, "cgroup.procs"))
	for pid := range strings.FieldsSeq(string(left)) {
		err = errors.Join(err, os.WriteFile(back, []byte(pid), 0))
	}
	if rmErr := os.Remove(g.path); rmErr != nil {
		return fmt.Errorf("remove the control group %s: %w", filepath.Base(g.path), errors.Join(rmErr, err))
	}
	return nil
}
