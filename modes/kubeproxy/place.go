package kubeproxy

import (
	"fmt"
	"os"
	"path/filepath"

	"viplab/modes"
)

// Dir is the folder that `make peers` puts the programs into:
// $XDG_CACHE_HOME/viplab/peers, or $HOME/.cache/viplab/peers. Beside them are folders of
// the tools that they start, named after iptables' backends, since kube-proxy starts
// whichever "iptables" it finds.
func Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the folder of peers: %w", err)
	}
	return filepath.Join(cache, "viplab", "peers"), nil
}

// program is the path of a release's program, or a [modes.MissingError] if it was not built.
func program(release string) (dir, path string, err error) {
	if dir, err = Dir(); err == nil {
		path = filepath.Join(dir, "kube-proxy-"+release)
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", "", &modes.MissingError{Need: "the program of the real kube-proxy " + release, Mend: "make peers", Err: err}
	}
	return dir, path, nil
}

// Built tells which releases were built.
func Built() (out []string) {
	for _, r := range Releases() {
		if _, _, err := program(r); err == nil {
			out = append(out, r)
		}
	}
	return out
}
