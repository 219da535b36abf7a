package trial

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"viplab/lab/topo"
	"viplab/modes"
)

// Sysctl is a setting of the node's network, below net.ipv4.
type Sysctl struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ofIPVS is what the names of IPVS' settings begin with.
const ofIPVS = "net.ipv4.vs."

// Set sets it in the namespace of the calling thread. Those of IPVS are not there in a kernel
// without it, and nothing depends on them then.
func (s Sysctl) Set() error {
	err := topo.SetSysctl(s.Name, s.Value)
	if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(s.Name, ofIPVS) {
		if _, err := os.Stat("/proc/sys/net/ipv4/vs"); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	return err
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
