package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplab/modes"
)

// TestNewestImage: of the images in the cache the highest version is taken, and what a
// fetch left half-made is none.
func TestNewestImage(t *testing.T) {
	top := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", top)
	if _, err := NewestImage(); !modes.IsMissing(err) || !strings.Contains(err.Error(), "viplab kernel fetch") {
		t.Errorf("without any: %v", err)
	}
	for _, name := range []string{"6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", ".6.12.0-1-cloud-amd64.part"} {
		if err := os.MkdirAll(filepath.Join(top, "viplab", "images", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got, err := NewestImage()
	if err != nil || got.Name != "6.1.0-56-cloud-amd64" || filepath.Base(got.Path) != "vmlinuz-"+got.Name || filepath.Base(got.Modules) != got.Name {
		t.Errorf("%+v, %v", got, err)
	}
}
