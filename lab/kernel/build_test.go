package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplab/modes"
)

func TestCheck(t *testing.T) {
	for _, bad := range []Options{
		{Version: "seven"}, {Version: "7.3.4"}, {Version: "7"}, {Version: "7.3-rc1"}, {Version: "7.3", Source: "/x"},
		{Version: "7.3", Name: "../x"}, {Version: "7.3", Name: ".hidden"}, {Version: "7.3", Name: Debian}, {Source: "/nowhere/at/all"},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	packed, unpacked := filepath.Join(t.TempDir(), "linux-6.18.tar.xz"), filepath.Join(t.TempDir(), "linux")
	if err := errors.Join(os.WriteFile(packed, nil, 0o600), os.MkdirAll(filepath.Join(unpacked, "arch/um/Kconfig"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"7.3": {Version: "7.3"}, "mine": {Version: "7.3", Name: "mine"}, "linux-6.18": {Source: packed}, "linux": {Source: unpacked + "/"}, "": {},
	} {
		if err := o.Check(); err != nil || o.Name != want || o.Jobs < 1 {
			t.Errorf("%+v, %v: want name %q", o, err, want)
		}
	}
}

func TestAptText(t *testing.T) {
	a := apt{dir: "/cache/.apt"}
	for _, want := range []string{`sourcelist "/cache/.apt/sources.list"`, `sourceparts "/dev/null"`, `lists "/cache/.apt/lists"`, `Dir::Cache "/cache/.apt/cache"`,
		`APT::Default-Release ""`, `preferencesparts "/dev/null"`} {
		if !strings.Contains(a.configText(), want) {
			t.Errorf("%s is not in:\n%s", want, a.configText())
		}
	}
	for line := range strings.Lines(sourcesText()) {
		if !strings.HasPrefix(line, "deb [signed-by="+keyring+"] http") || strings.Contains(line, "trusted") {
			t.Errorf("not verified with the system's keys: %s", line)
		}
	}
}

func TestParseApt(t *testing.T) {
	names := "linux-source-6.12\nlinux-source-7.3\nlinux-source\nlinux-source-6.1\nlinux-source-7.2\nlinux-source-6.1-rt\n"
	if got := parseNames(names); !slices.Equal(got, []string{"6.1", "6.12", "7.2", "7.3"}) {
		t.Error(got)
	}
	table := " linux-source-6.1 | 6.1.192-2 | http://deb.debian.org/debian-security bookworm-security/main amd64 Packages\n linux-source-6.1 | 6.1.192-1 | x\n"
	if got := parseMadison(table); got != "6.1.192-2" {
		t.Error(got)
	}
	if got := parseMadison("N: Unable to locate package\n"); got != "" {
		t.Error(got)
	}
}

func TestAptError(t *testing.T) {
	failed := errors.New("exit status 100")
	needs(t, aptError("fetch", "W: GPG error: http://x InRelease: NO_PUBKEY 123", failed), "verified", "debian-archive-keyring")
	needs(t, aptError("fetch", "E: Failed to fetch x.deb  Hash Sum mismatch\n", failed), "arrives", "proxy")
	needs(t, aptError("fetch", "E: You don't have enough free space in /x.\n", failed), "free space", "XDG_CACHE_HOME")
	needs(t, aptError("fetch", "", &modes.MissingError{Need: "the tool apt-get", Mend: "install it"}), "the tool apt-get")
	needs(t, aptError("fetch", "E: The repository 'x' is not signed.", failed), "verified")
	needs(t, aptError("fetch", "Err:1 http://deb.debian.org\nW: Could not resolve 'deb.debian.org'\nE: Some index files failed\n", failed), "Could not resolve", "--source")
}

func TestToolError(t *testing.T) {
	failed := errors.New("exit status 2")
	needs(t, toolError("compile", "as: /x.o: No space left on device\n", failed), "space")
	needs(t, toolError("unpack", "", unix.ENOSPC), "space")
	needs(t, fullDisk(fmt.Errorf("keep the kernel: %w", unix.ENOSPC)), "space", "keep the kernel")
	_, err := runner{}.output(t.Context(), t.TempDir(), "no-such-tool-of-viplab")
	needs(t, toolError("strip", "", err), "no-such-tool")
	err = toolError("compile", "  CC x.o\na.c:1:2: error: no such thing\nmake: *** [x] Error 1\n", failed)
	if !strings.Contains(err.Error(), "no such thing") {
		t.Error(err)
	}
	if got := firstError("  HOSTLD conf\nKconfig:1: can't open file\nmake[3]: *** [allnoconfig] Error 1\nmake: *** Error 2\n"); got != "Kconfig:1: can't open file" {
		t.Error(got)
	}
	if err := toolError("compile", "", context.Canceled); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCompiled(t *testing.T) {
	for line, want := range map[string]bool{
		"  CC      net/core/dev.o": true, "  AS      arch/x86/um/setjmp_64.o": true,
		"  HOSTCC  scripts/kconfig/conf.o": false, "  AR      net/built-in.a": false, "  LD      vmlinux": false,
		"  CC      arch/um/kernel/asm-offsets.s": false, "": false,
	} {
		if compiled(line) != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
}

func TestProgress(t *testing.T) {
	var said bytes.Buffer
	p := newProgress(&said, false, 10, 20)
	for range 9 {
		io.WriteString(p, "  CC      a/b")
		io.WriteString(p, ".o\n  AR      a/built-in.a\n")
	}
	if p.done != 19 || strings.Count(said.String(), "\n") != 4 || !strings.Contains(said.String(), "18 of about 20 files compiled, about ") {
		t.Errorf("%d done, said:\n%s", p.done, said.String())
	}
	p.start = time.Now().Add(-9 * time.Minute)
	if left := p.left(time.Now()).Round(time.Second); left != time.Minute {
		t.Errorf("%s left", left)
	}
	for range 5 { // more than guessed
		io.WriteString(p, "  CC      c.o\n")
	}
	if p.left(time.Now()) != 0 || strings.Count(said.String(), "nearly done") != 1 {
		t.Errorf("said:\n%s", said.String())
	}
	p.end()
	bar := newProgress(&said, true, 0, 2)
	io.WriteString(bar, "  CC      a.o\n  CC      b.o\n  CC      c.o\n")
	bar.end()
	if bar.done != 3 {
		t.Errorf("the bar stopped at %d", bar.done)
	}
}

// TestOpenWork: what an interrupted build left is gone on with only if it is from
// the same source.
func TestOpenWork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".build-x")
	w, err := openWork(dir, "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := interrupted(dir); ok {
		t.Error("there is no tree to go on with")
	}
	if err := os.Mkdir(w.tree(), 0o700); err != nil {
		t.Fatal(err)
	}
	if from, ok := interrupted(dir); !ok || from.text != "one" || from.tree != w.tree() {
		t.Errorf("got %v", from)
	}
	if _, err := openWork(dir, "one"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(w.tree()); err != nil {
		t.Errorf("the tree of the same source is gone: %v", err)
	}
	if _, err := openWork(dir, "two"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(w.tree()); err == nil {
		t.Error("the tree of another source is still there")
	}
}

// TestObjects counts what is compiled of the tree, and nothing else.
func TestObjects(t *testing.T) {
	dir := t.TempDir()
	w := work{dir: dir, source: filepath.Join(dir, "tree")}
	for _, f := range []string{"tree/net/a.c", "tree/net/b.S", "tree/scripts/x.c", "out/net/a.o", "out/net/b.o", "out/net/both.o", "out/scripts/x.o"} {
		path := filepath.Join(dir, f)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.objects(); n != 2 {
		t.Errorf("counted %d", n)
	}
}

// TestThere: a kernel that is there is not built again, unless it is broken or forced.
func TestThere(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	put(t, "6.12", "6.12.1")
	k, err := Build(t.Context(), Options{Version: "6.12", Progress: io.Discard})
	if err != nil || k.Version != "6.12.1" {
		t.Fatalf("%v, %v", k, err)
	}
	b := &builder{Options: Options{Progress: io.Discard}, dir: filepath.Dir(filepath.Dir(k.Path))}
	if _, ok := b.there("6.12", "another source"); ok {
		t.Error("a kernel of another source is taken")
	}
	b.Force = true
	if _, ok := b.there("6.12", ""); ok {
		t.Error("a kernel is taken although a new one is to be built")
	}
	b.Force = false
	if err := os.Truncate(k.Path, 3); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.there("6.12", ""); ok {
		t.Error("a broken kernel is taken")
	}
}

func TestPathOrigin(t *testing.T) {
	if _, err := pathOrigin(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no tree of the Linux kernel") {
		t.Error(err)
	}
	if _, err := pathOrigin("/nowhere/at/all"); err == nil {
		t.Error("taken")
	}
}

// TestStop: when the context ends, a tool and what it started end with it.
func TestStop(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte("all:\n\tsleep 60; echo late > late\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := (runner{}).start(ctx, dir, io.Discard, "make"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if took := time.Since(start); took > stopLimit {
		t.Errorf("it took %s", took)
	}
}

// TestReplace puts a kernel in another one's place.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for round := range 2 {
		if err := os.Mkdir(at("new"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := replace(at("new"), at("7.3"), at("old")); err != nil {
			t.Fatal(round, err)
		}
	}
	if _, err := os.Stat(at("7.3")); err != nil {
		t.Error(err)
	}
}
