package testbed

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// roleHarm tries as root of a testbed to write to a file of the host's.
const roleHarm = "test-harm"

// harm tries all ways that root has: as it is, after a remount, by a mount of its own, by
// taking away what covers it. It prints the ways that worked.
func harm(args []string) error {
	path := args[0]
	dir := filepath.Dir(path)
	write := func(path string) error { return os.WriteFile(path, []byte("harm"), 0o666) }
	mounted := func(fs, from string, flags uintptr) func() error {
		return func() error {
			at, err := os.MkdirTemp("/run", "at")
			if err != nil {
				return err
			}
			if err := unix.Mount(from, at, fs, flags, ""); err != nil {
				return err
			}
			_ = unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND, "")
			for _, name := range []string{filepath.Base(path), path} {
				if err = write(filepath.Join(at, name)); err == nil {
					return nil
				}
			}
			return err
		}
	}
	for _, way := range []struct {
		name string
		try  func() error
	}{
		{"plainly", func() error { return write(path) }},
		{"a new file", func() error { return write(path + ".new") }},
		{"remount", func() error {
			for _, flags := range []uintptr{unix.MS_REMOUNT, unix.MS_REMOUNT | unix.MS_BIND} {
				for _, at := range []string{"/", dir, filepath.Dir(dir), "/tmp"} {
					_ = unix.Mount("", at, "", flags, "")
				}
			}
			return write(path)
		}},
		{"mount_setattr", func() error {
			_ = unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
			return write(path)
		}},
		{"bind", mounted("", dir, unix.MS_BIND)},
		{"bind of all", mounted("", "/", unix.MS_BIND|unix.MS_REC)},
		{"hostfs", mounted("hostfs", "none", 0)},
		{"by the process outside", func() error { return write("/proc/1/root" + path) }},
		{"chmod", func() error { return os.Chmod(path, 0o600) }},
		{"remove", func() error { return os.Remove(path) }},
	} {
		if err := way.try(); err == nil {
			fmt.Println("harm:", way.name)
		}
	}
	fmt.Println(strings.Join(os.Environ(), "\n"))
	return nil
}

// TestHostIsSafe: root of a testbed cannot write to files of the host, whatever it mounts,
// and knows nothing of the caller's environment that it need not know.
func TestHostIsSafe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VIPLAB_TEST_SECRET", "secret")
	each(t, func(t *testing.T, tb Testbed) {
		var out, errs bytes.Buffer
		code, err := tb.Run(t.Context(), Command{Args: []string{self(t), roleHarm, path}, Stdout: &out, Stderr: &errs})
		if err != nil || code != 0 || !strings.Contains(out.String(), "PATH=") {
			t.Fatalf("exit %d, %v: %s%s", code, err, out.String(), errs.String())
		}
		if strings.Contains(out.String(), "harm:") || strings.Contains(out.String(), "secret") {
			t.Errorf("it could: %s", out.String())
		}
		b, err := os.ReadFile(path)
		info, serr := os.Stat(path)
		if err != nil || serr != nil || string(b) != "precious" || info.Mode() != 0o644 {
			t.Errorf("the file of the host is now %q (%v)", b, err)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
			t.Errorf("there is now %v", entries)
		}
	})
}

// roleFenced tries to write within Landlock's fence and beyond it.
const roleFenced = "test-fenced"

func fenced(args []string) error {
	if err := onlyWrites(args[0]); err != nil {
		return err
	}
	script := `echo in > "$0"/file && echo "inside: yes"; (echo out > "$1"); mv "$0"/file "$1".new; rm "$1"; true`
	out, err := exec.Command("/bin/sh", "-c", script, args[0], args[1]).Output()
	fmt.Print(string(out))
	return err
}

// TestFence: where no mounts can be made read-only, Landlock keeps files of the host as they
// are.
func TestFence(t *testing.T) {
	if v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 || v < landlockTruncate {
		t.Skipf("SKIPPED: this kernel has no Landlock that would do: version %d, %v", v, errno)
	}
	inside, outside := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(outside, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(self(t), roleFenced, inside, outside).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "inside: yes") {
		t.Fatalf("%v: %s", err, out)
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "precious" {
		t.Errorf("it is now %q, %v", b, err)
	}
	if _, err := os.Stat(outside + ".new"); err == nil {
		t.Error("a file was moved out")
	}
}
