package testbed

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"viplab/lab/cache"
	"viplab/lab/kernel"
	"viplab/modes"
)

// shimSource is the library that user-mode-linux needs on some CPUs; the file
// says why.
//
//go:embed shim/ptrace.c
var shimSource []byte

// ShimEnv set to "on" uses the library also where it is not needed.
const ShimEnv = "VIPLAB_UML_SHIM"

// shimUntil is the first version of user-mode-linux that sets any state of the
// processor's registers, however large.
const shimUntil = "6.13"

// shimNeeded tells whether this CPU has AMX, whose state is larger than an older
// user-mode-linux can set.
func shimNeeded(k kernel.Kernel) bool {
	if os.Getenv(ShimEnv) == "on" {
		return true
	}
	if !k.Before(shimUntil) {
		return false
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && strings.Contains(string(info), " amx_tile")
}

// shim is the path of the compiled library. It is compiled once for each version of its
// source, into the user's cache, and checked against the digest noted then: what is loaded
// into a guest's kernel is our own. Where there is no safe cache it is compiled for this
// guest alone. done removes what is not to stay.
func shim() (path string, done func(), err error) {
	done = func() {}
	dir, err := cache.Dir("shim")
	if err != nil {
		if dir, err = cache.Temp("", "viplab-shim-"); err != nil {
			return "", done, fmt.Errorf("make the ptrace library: %w", err)
		}
		done = func() { _ = os.RemoveAll(dir) }
	}
	path = filepath.Join(dir, "ptrace-"+digest(shimSource)[:16]+".so")
	if whole(path) {
		return path, done, nil
	}
	if err := compileShim(dir, path); err != nil {
		done()
		return "", func() {}, err
	}
	return path, done, nil
}

// noteOf is where the digest of a library is noted.
func noteOf(path string) string { return path + ".sha256" }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// whole tells whether a library is the one that was compiled, and nobody else's.
func whole(path string) bool {
	if cache.Check(path) != nil || cache.Check(noteOf(path)) != nil {
		return false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	noted, err := os.ReadFile(noteOf(path))
	return err == nil && string(noted) == digest(b)
}

// compileShim makes the library and notes its digest.
func compileShim(dir, path string) error {
	work, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return fmt.Errorf("compile the ptrace library: %w", err)
	}
	defer os.RemoveAll(work)
	compiler, err := kernel.LookTool("cc")
	if err != nil {
		return fmt.Errorf("compile the ptrace library: %w", err)
	}
	part := filepath.Join(work, "ptrace.so")
	cmd := exec.Command(compiler, "-shared", "-fPIC", "-O2", "-x", "c", "-o", part, "-")
	cmd.Env = append(os.Environ(), "TMPDIR="+work, "PATH="+toolPath)
	cmd.Stdin = bytes.NewReader(shimSource)
	if out, err := cmd.CombinedOutput(); err != nil {
		return &modes.MissingError{Need: "a C compiler for the ptrace library of the uml testbed", Mend: "sudo apt-get install gcc libc6-dev",
			Err: fmt.Errorf("%w %s", err, out)}
	}
	b, err := os.ReadFile(part)
	if err == nil {
		err = errors.Join(os.Chmod(part, 0o700), os.WriteFile(noteOf(part), []byte(digest(b)), 0o600))
	}
	if err == nil {
		err = errors.Join(os.Rename(noteOf(part), noteOf(path)), os.Rename(part, path))
	}
	if err != nil {
		return fmt.Errorf("keep the ptrace library: %w", err)
	}
	return nil
}
