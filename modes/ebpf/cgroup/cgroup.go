// Package cgroup makes control groups (version 2) of our own below that of this process, and
// removes those that were left by processes which were killed. Nobody else's are touched.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// prefix begins the names of our groups.
const prefix = "viplab-ebpf-"

// Group is a control group of our own below the one that this process was in. Programs
// see what is dialled by those in it, and nobody else of the machine is touched.
type Group struct {
	// Path is where its files are.
	Path   string
	parent string
	mount  int
}

// Join makes a group and moves this process with all its threads into it.
func Join() (*Group, error) {
	mount, parent, err := own()
	if err != nil {
		return nil, err
	}
	g := &Group{parent: parent, mount: mount}
	if err := g.join(); err != nil {
		return nil, errors.Join(err, unix.Close(mount))
	}
	return g, nil
}

// join makes the group and moves into it. Meanwhile it is empty, and Sweep is kept from
// taking it for one that was left.
func (g *Group) join() error {
	held, err := lock(g.parent, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unix.Close(held)
	if g.Path, err = os.MkdirTemp(g.parent, prefix+"*"); err != nil {
		return fmt.Errorf("make a control group: %w", err)
	}
	if err := os.WriteFile(filepath.Join(g.Path, procs), []byte("0"), 0); err != nil {
		return errors.Join(fmt.Errorf("join a control group: %w", err), os.Remove(g.Path))
	}
	return nil
}

// Close moves all that are in the group back to where we were, and removes it.
func (g *Group) Close() error {
	if g == nil {
		return nil
	}
	defer unix.Close(g.mount)
	back := filepath.Join(g.parent, procs)
	if err := os.WriteFile(back, []byte("0"), 0); err != nil {
		return fmt.Errorf("leave the control group %s: %w", filepath.Base(g.Path), err)
	}
	// Children that were started meanwhile.
	left, err := os.ReadFile(filepath.Join(g.Path, procs))
	for pid := range strings.FieldsSeq(string(left)) {
		err = errors.Join(err, os.WriteFile(back, []byte(pid), 0))
	}
	if rmErr := os.Remove(g.Path); rmErr != nil && !errors.Is(rmErr, os.ErrNotExist) { // Sweep may be quicker
		return fmt.Errorf("remove the control group %s: %w", filepath.Base(g.Path), errors.Join(rmErr, err))
	}
	return nil
}

// procs is the file of a group that lists who is in it, and that moves into it who is written.
const procs = "cgroup.procs"

// Sweep removes those of our groups below that of this process in which nobody is, and waits
// a while for others to end that are in one. Without the right to, it does nothing: then
// nobody could make one either.
func Sweep(wait time.Duration) {
	mount, path, err := own()
	if err != nil {
		return
	}
	defer unix.Close(mount)
	for end := time.Now().Add(wait); !sweep(path) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

// sweep sweeps below one group, and tells whether none of ours is left there. They lie in one
// another where a process has made two.
func sweep(path string) (clean bool) {
	found := below(path)
	if len(found) == 0 {
		return true
	}
	held, err := lock(path, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return false // one is being made
	}
	defer unix.Close(held)
	clean = true
	for _, one := range found {
		sweep(one)
		if err := unix.Rmdir(one); err != nil && err != unix.ENOENT {
			clean = false
		}
	}
	return clean
}

// Empty names our groups below that of this process in which nobody is: nothing, unless
// something was killed that made one.
func Empty() (out []string) {
	mount, path, err := own()
	if err != nil {
		return nil
	}
	defer unix.Close(mount)
	for _, one := range below(path) {
		state, err := os.ReadFile(filepath.Join(one, "cgroup.events"))
		if err == nil && strings.Contains(string(state), "populated 0") {
			out = append(out, filepath.Base(one))
		}
	}
	return out
}

// below lists our groups in a group.
func below(path string) []string {
	found, _ := filepath.Glob(filepath.Join(path, prefix+"*"))
	return found
}

// lock locks a group's directory, until the descriptor is closed.
func lock(path string, how int) (fd int, err error) {
	if fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("open a control group: %w", err)
	}
	if err := unix.Flock(fd, how); err != nil {
		return -1, errors.Join(fmt.Errorf("lock a control group: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// own is the path of this process's group, in a mount of the file system that no directory
// shows and that lasts as long as its descriptor: a testbed may have none, or an old one. A
// kernel that never mounted it names no group of it.
func own() (mount int, path string, err error) {
	fs, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, "", fmt.Errorf("open the file system: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, "", fmt.Errorf("set the file system up: %w", err)
	}
	if mount, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0); err != nil {
		return -1, "", fmt.Errorf("mount the file system: %w", err)
	}
	below, err := ofProcess()
	if err != nil {
		return -1, "", errors.Join(fmt.Errorf("find this process's control group: %w", err), unix.Close(mount))
	}
	return mount, filepath.Join(fmt.Sprintf("/proc/self/fd/%d", mount), below), nil
}

// ofProcess is the path of the group of this process, from the root of cgroup v2.
func ofProcess() (string, error) {
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
