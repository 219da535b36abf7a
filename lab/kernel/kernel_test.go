package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"viplab/modes"
)

// needs fails unless err is a [modes.MissingError] whose text has all the words.
func needs(t *testing.T, err error, words ...string) {
	t.Helper()
	var m *modes.MissingError
	if !errors.As(err, &m) || m.Mend == "" {
		t.Fatalf("got %v, want what is missing and a command that mends it", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in %q", w, err)
		}
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		"7.3": "7.3", "6.12.117": "6.12.117", "7.3.4-1~bpo13+1": "7.3.4", "v6.1-rc3": "6.1", "6.1.176\n": "6.1.176",
		"": "", "7": "", "debian": "", "-6.1": "", "99999999999999999999.1": "",
	} {
		v, err := ParseVersion(text)
		if v.String() != want || (err != nil) != (want == "") {
			t.Errorf("%q is read as %q, %v", text, v, err)
		}
	}
	order := []string{"nonsense", "5.10", "6.1", "6.1.176", "6.9", "6.12", "6.12.99", "6.12.117", "7.0", "10.1"}
	got := slices.Clone(order)
	slices.Reverse(got)
	slices.SortFunc(got, compareText)
	if !slices.Equal(got, order) {
		t.Errorf("order is %v", got)
	}
	if k := (Kernel{Version: "6.12.117"}); !k.Before("6.13") || k.Before("6.12") || (Kernel{Version: "7.3.4"}).Before("6.13") {
		t.Error("6.12.117 is not taken to be before 6.13 and after 6.12, or 7.3.4 before 6.13")
	}
}

// TestFragment holds the embedded configuration to what its head says.
func TestFragment(t *testing.T) {
	seen := map[string]bool{}
	for section := range strings.SplitSeq(fragment, "\n\n") {
		lines := wanted(section)
		if !slices.IsSorted(lines) {
			t.Errorf("not sorted:\n%s", section)
		}
		if !strings.HasPrefix(section, "# ") {
			t.Errorf("no purpose is given for:\n%s", section)
		}
		for _, l := range lines {
			if seen[l] {
				t.Errorf("%s is there twice", l)
			}
			if seen[l] = true; !strings.HasPrefix(l, "CONFIG_") || !strings.HasSuffix(l, "=y") {
				t.Errorf("%q switches nothing on", l)
			}
		}
	}
}

func TestLacking(t *testing.T) {
	got := lacking("# x\nCONFIG_A=y\n\nCONFIG_B=y\nCONFIG_C=12\n", "CONFIG_C=12\n# CONFIG_B is not set\nCONFIG_A=y\nCONFIG_AB=y\n")
	if !slices.Equal(got, []string{"B"}) {
		t.Errorf("got %v", got)
	}
}

func TestDir(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	dir, err := Dir()
	if err != nil || dir != filepath.Join(home, "viplab", "kernels") {
		t.Fatal(dir, err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = Dir()
	needs(t, err, "others may enter", "chmod 700 "+dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), dir); err != nil {
		t.Fatal(err)
	}
	_, err = Dir()
	needs(t, err, "is no folder")
}

// TestDirOfAnother: a folder of another user's is not used.
func TestDirOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can give a folder away")
	}
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	_, err = Dir()
	needs(t, err, "belongs to user 12345", "XDG_CACHE_HOME")
}

// TestDirWithoutHome: without HOME and XDG_CACHE_HOME there is a folder of the
// user's own among temporary files.
func TestDirWithoutHome(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	dir, err := Dir()
	if err != nil || !strings.HasPrefix(dir, tmp+"/viplab-cache-") {
		t.Fatal(dir, err)
	}
	if err := os.Chmod(filepath.Join(dir, "..", ".."), 0o777); err != nil {
		t.Fatal(err)
	}
	_, err = Dir()
	needs(t, err, "others may enter")
}

// put makes a kernel of the cache out of a shell script.
func put(t *testing.T, name, version string) Kernel {
	t.Helper()
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, name)
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(at, programFile)
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho "+version+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	digest, err := fileDigest(program)
	if err != nil {
		t.Fatal(err)
	}
	k := Kernel{Name: name, Version: version, Source: sourcePackage + version[:strings.LastIndex(version, ".")] + " " + version + "-1", Digest: digest, Fragment: textDigest(fragment), Objects: 10}
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, metaFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestFind(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := Newest()
	needs(t, err, "viplab kernel build")
	for name, version := range map[string]string{"6.12": "6.12.117", "mine": "7.3.4", "6.1": "6.1.192"} {
		put(t, name, version)
	}
	all, err := List()
	if err != nil || len(all) != 3 || all[0].Name != "mine" || all[1].Name != "6.12" || all[2].Name != "6.1" {
		t.Errorf("list is %v, %v", all, err)
	}
	if k, err := Newest(); err != nil || k.Name != "mine" {
		t.Errorf("newest is %v, %v", k, err)
	}
	k, err := Find(t.Context(), "6.12")
	if err != nil || k.Version != "6.12.117" || k.Path == "" {
		t.Errorf("found %v, %v", k, err)
	}
	if at, err := Find(t.Context(), k.Path); err != nil || at.Version != "6.12.117" || at.Path != k.Path {
		t.Errorf("at a path: %v, %v", at, err)
	}
	_, err = Find(t.Context(), "7.9")
	needs(t, err, `"7.9"`, "debian, mine, 6.12, 6.1", "viplab kernel build 7.9")
	_, err = Find(t.Context(), "/bin/false")
	needs(t, err, "/bin/false")
	if err := os.WriteFile(k.Path, []byte("#!/bin/sh\necho evil\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Find(t.Context(), "6.12")
	needs(t, err, "digest", "viplab kernel build --force 6.12")
	_, err = Find(t.Context(), "7.9-smp")
	needs(t, err, "viplab kernel build --smp 7.9")
	_, err = Find(t.Context(), "other")
	needs(t, err, "viplab kernel build --help")
}

// TestRebuild: the command makes a kernel of the same name from the same source.
func TestRebuild(t *testing.T) {
	for want, k := range map[string]Kernel{
		"viplab kernel build --force 7.3":                          {Name: "7.3", Source: "linux-source-7.3 7.3.4-1~bpo13+1"},
		"viplab kernel build --force --smp 7.3":                    {Name: "7.3-smp", Source: "linux-source-7.3 7.3.4-1~bpo13+1", SMP: true},
		"viplab kernel build --force --name mine 7.3":              {Name: "mine", Source: "linux-source-7.3 7.3.4-1~bpo13+1"},
		"viplab kernel build --force --source '/my tree' --name a": {Name: "a", Source: "/my tree"},
		"viplab kernel build --force --source /a.tar.xz --name a":  {Name: "a", Source: "/a.tar.xz of 2026-01-01 00:00:00"},
		"use another kernel (viplab kernel list names them)":       {Name: Debian},
	} {
		if got := k.Rebuild(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRemove(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	k := put(t, "6.12", "6.12.1")
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openWork(workDir(dir, "6.12"), "test"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", ".", "..", "../6.12", ".lock", "6.13"} {
		if Remove(t.Context(), bad, io.Discard) == nil {
			t.Errorf("%q could be removed", bad)
		}
	}
	if err := Remove(t.Context(), k.Name, io.Discard); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*6.12*")); left != nil {
		t.Errorf("left: %v", left)
	}
}

// TestKept: where the archive cannot be asked for a newer kernel, the one that is there
// stays; not where another was asked for.
func TestKept(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	why := &modes.MissingError{Need: "Debian's archive"}
	kept := func(o Options) bool {
		o.Progress = io.Discard
		_, ok := (&builder{Options: o}).kept(why)
		return ok
	}
	if kept(Options{}) {
		t.Error("there is none")
	}
	put(t, "7.3", "7.3.4")
	if !kept(Options{}) {
		t.Error("it does not stay")
	}
	for _, o := range []Options{{Name: "6.12"}, {SMP: true}, {Force: true}, {Source: "linux"}} {
		if kept(o) {
			t.Errorf("%+v has another", o)
		}
	}
	if _, ok := (&builder{Options: Options{Progress: io.Discard}}).kept(errors.New("a fault")); ok {
		t.Error("a fault of the build is hidden")
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(t.Context(), dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var said bytes.Buffer
	if _, err := lock(ctx, dir, &said); !errors.Is(err, context.DeadlineExceeded) || strings.Count(said.String(), "waiting") != 1 {
		t.Errorf("%v, %q", err, said.String())
	}
	unlock()
	unlock, err = lock(t.Context(), dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestArgsFor(t *testing.T) {
	if got := argsFor("seccomp=<on/auto/off>\n    Configure"); !slices.Equal(got, []string{"seccomp=on"}) {
		t.Error(got)
	}
	if got := argsFor("mem=<amount>"); got != nil {
		t.Error(got)
	}
}

func TestProbeTools(t *testing.T) {
	err := probeTools(func(string) (string, error) { return "", exec.ErrNotFound })
	needs(t, err, "gcc, flex, bison, bc", "sudo apt-get install make gcc flex bison bc tar xz-utils")
	err = probeTools(func(p string) (string, error) {
		if p == "bison" {
			return "", fs.ErrNotExist
		}
		return "/usr/bin/" + p, nil
	})
	if err == nil || strings.Contains(err.Error(), "flex") {
		t.Errorf("only bison is missing, but: %v", err)
	}
}
