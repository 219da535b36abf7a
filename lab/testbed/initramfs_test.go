package testbed

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cavaliergopher/cpio"

	"viplab/lab/kernel"
)

// TestInitramfs: a program comes with the links that lead to it and the libraries that it
// loads, once each, and the same files make the same archive.
func TestInitramfs(t *testing.T) {
	var made [2]bytes.Buffer
	for i := range made {
		a, err := newInitramfs(&made[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(a.tools(), a.program("sh"), a.text("/viplab-guest/orders.json", []byte("{}")), a.w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(made[0].Bytes(), made[1].Bytes()) {
		t.Error("the same files make another archive")
	}
	seen := map[string]cpio.FileMode{}
	r := cpio.NewReader(&made[0])
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if _, twice := seen[h.Name]; twice {
			t.Errorf("%s is there twice", h.Name)
		}
		if above := filepath.Dir(h.Name); above != "." && !seen[above].IsDir() {
			t.Errorf("%s comes before its folder", h.Name)
		}
		seen[h.Name] = h.Mode
	}
	sh, err := kernel.LookTool("sh")
	if err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(sh)
	if err != nil {
		t.Fatal(err)
	}
	linker, err := filepath.EvalSymlinks("/lib64/ld-linux-x86-64.so.2")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{real, linker, "/viplab-guest/orders.json"} {
		if mode, ok := seen[want[1:]]; !ok || !mode.IsRegular() {
			t.Errorf("%s is not in it", want)
		}
	}
	if to, err := os.Readlink("/bin"); err == nil && seen["bin"].IsRegular() {
		t.Errorf("/bin, a link to %s, is a file", to)
	}
}
