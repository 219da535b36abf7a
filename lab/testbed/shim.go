package testbed

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

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

// shim is the path of the compiled library. It is compiled once for each
// version of its source, into the user's cache.
func shim() (string, error) {
	sum := sha256.Sum256(shimSource)
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	path := filepath.Join(cache, "viplab", "ptrace-"+hex.EncodeToString(sum[:8])+".so")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("compile the ptrace library: %w", err)
	}
	part := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.Command("cc", "-shared", "-fPIC", "-O2", "-x", "c", "-o", part, "-")
	cmd.Stdin = strings.NewReader(string(shimSource))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &modes.MissingError{Need: "a C compiler for the ptrace library of the uml testbed", Mend: "sudo apt-get install gcc libc6-dev",
			Err: fmt.Errorf("%w %s", err, out)}
	}
	if err := os.Rename(part, path); err != nil {
		return "", fmt.Errorf("keep the ptrace library: %w", err)
	}
	return path, nil
}
