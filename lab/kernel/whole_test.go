package kernel

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree makes a folder that a build takes for the source of the kernel: it
// compiles a program that says a version.
func tree(t *testing.T, version, compile string) string {
	t.Helper()
	if err := probeTools(LookTool); err != nil {
		t.Skipf("SKIPPED: builds of kernels: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "linux-"+version)
	for name, text := range map[string]string{
		"arch/um/Kconfig": "", "init/main.c": "#include <stdio.h>\nint main(void) { puts(\"" + version + "\"); }\n",
		"Makefile": "allnoconfig:\n\tgrep -v NF_TABLES_INET $(KCONFIG_ALLCONFIG) >$(O)/.config\n" +
			"linux: $(O)/init/main.o\n\tgcc -o $(O)/linux $<\n" +
			"$(O)/init/main.o: init/main.c\n\tmkdir -p $(O)/init\n\t@echo '  CC      init/main.o'\n\t" + compile + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const compile = "gcc -c -o $@ $<"

// archive packs a tree.
func archive(t *testing.T, dir string) string {
	t.Helper()
	path := dir + ".tar.xz"
	if out, err := exec.Command("tar", "-cJf", path, "-C", filepath.Dir(dir), filepath.Base(dir)).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return path
}

func TestBuild(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var said bytes.Buffer
	path := archive(t, tree(t, "9.8.7", compile))
	o := Options{Source: path, Progress: &said}
	k, err := Build(t.Context(), o)
	if err != nil {
		t.Fatal(err, said.String())
	}
	if k.Name != "linux-9.8.7" || k.Version != "9.8.7" || k.Objects != 1 || !strings.HasPrefix(k.Source, path) {
		t.Errorf("built %+v", k)
	}
	if !slices.Equal(k.Lacks, []string{"NF_TABLES_INET"}) {
		t.Errorf("lacks %v", k.Lacks)
	}
	if found, err := Find(t.Context(), "linux-9.8.7"); err != nil || found.Digest != k.Digest {
		t.Errorf("found %+v, %v", found, err)
	}
	if config, err := os.ReadFile(filepath.Join(filepath.Dir(k.Path), configFile)); err != nil || !strings.Contains(string(config), "CONFIG_IP_VS=y") {
		t.Errorf("its configuration: %v", err)
	}
	dir := filepath.Dir(filepath.Dir(k.Path))
	if left, _ := filepath.Glob(filepath.Join(dir, ".build-*")); left != nil {
		t.Errorf("left: %v", left)
	}
	said.Reset()
	if _, err := Build(t.Context(), o); err != nil || !strings.Contains(said.String(), "is there already") {
		t.Errorf("the second time: %v, %s", err, said.String())
	}
}

// TestBuildFails: a compiler's error is told, nothing is in the cache, and the next
// build goes on.
func TestBuildFails(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := tree(t, "9.8.7", "gcc -c -o $@ $< -include $(CURDIR)/late.h")
	o := Options{Source: dir, Name: "mine", Progress: &bytes.Buffer{}}
	_, err := Build(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "late.h") || !strings.Contains(err.Error(), "/log") {
		t.Fatalf("got %v", err)
	}
	if all, err := List(); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "late.h"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if k, err := Build(t.Context(), o); err != nil || k.Name != "mine" {
		t.Errorf("%+v, %v", k, err)
	}
}

// TestBuildStopped: a build that is stopped leaves no kernel, and no compiler.
func TestBuildStopped(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := tree(t, "9.8.7", "sleep 77")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	_, err := Build(ctx, Options{Source: dir, Progress: &bytes.Buffer{}})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "goes on") || time.Since(start) > stopLimit {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	if all, err := List(); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestBuildTwice: of two builds at once, one waits and then finds the other's kernel.
func TestBuildTwice(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	path := archive(t, tree(t, "9.8.7", "sleep 1; "+compile))
	var said [2]bytes.Buffer
	errs := make(chan error)
	for i := range said {
		go func() {
			_, err := Build(t.Context(), Options{Source: path, Progress: &said[i]})
			errs <- err
		}()
	}
	if err := errors.Join(<-errs, <-errs); err != nil {
		t.Fatal(err)
	}
	both := said[0].String() + said[1].String()
	if strings.Count(both, "compile it") != 1 || strings.Count(both, "is there already") != 1 {
		t.Errorf("said:\n%s", both)
	}
}
