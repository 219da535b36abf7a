package trial

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"viplab/modes"
)

// Sysctl is a setting of the node's network, below net.ipv4.
type Sysctl struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ofIPVS is what the names of IPVS' settings begin with.
const ofIPVS = "net.ipv4.vs."

func path(name string) string {
	return filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
}

// Set sets it in the namespace of the calling thread. Those of IPVS are not there in a kernel
// without it, and nothing depends on them then.
func (s Sysctl) Set() error {
	err := os.WriteFile(path(s.Name), []byte(s.Value), 0)
	if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(s.Name, ofIPVS) {
		if _, err := os.Stat(filepath.Dir(path(s.Name))); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("set sysctl %s to %s: %w", s.Name, s.Value, err)
	}
	return nil
}

// try sets it as a scenario would.
func (s Sysctl) try() error {
	err := s.Set()
	if errors.Is(err, os.ErrNotExist) && (strings.HasPrefix(s.Name, "net.ipv4.conf.") || strings.HasPrefix(s.Name, "net.ipv4.neigh.")) {
		return nil // of a device that may come with what the mode programs
	}
	if err != nil {
		return &modes.MissingError{Need: fmt.Sprintf("sysctl %s with value %s in this kernel", s.Name, s.Value), Mend: "mend that step of the scenario, or use another kernel", Err: err}
	}
	return nil
}
