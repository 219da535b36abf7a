package ipvs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"viplab/modes"
)

// sysctl is a setting and the value that it had before.
type sysctl struct{ path, before string }

// settings are the sysctls that kube-proxy sets in this mode. (It also sets
// conn_reuse_mode to 0, but only on kernels from 4.1 to 5.8.)
func (o Options) settings() [][2]string {
	forward := "net/ipv4/ip_forward"
	if o.Family == modes.IPv6 {
		forward = "net/ipv6/conf/all/forwarding"
	}
	conntrack := "1"
	if o.NoConntrack {
		conntrack = "0"
	}
	return [][2]string{
		{"net/ipv4/vs/conntrack", conntrack},
		{"net/ipv4/vs/expire_nodest_conn", "1"},
		{"net/ipv4/vs/expire_quiescent_template", "1"},
		{forward, "1"},
	}
}

// setSysctls sets those that were not set before, and remembers what they were. As in
// kube-proxy that is done once: what somebody sets later stays.
func (p *Proxier) setSysctls() error {
	for _, s := range p.options.settings()[len(p.sysctls):] {
		path := filepath.Join("/proc/sys", s[0])
		before, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read sysctl %s: %w", s[0], err)
		}
		if err := os.WriteFile(path, []byte(s[1]), 0); err != nil {
			return fmt.Errorf("set sysctl %s to %s: %w", s[0], s[1], err)
		}
		p.sysctls = append(p.sysctls, sysctl{path, strings.TrimSpace(string(before))})
	}
	return nil
}

func (p *Proxier) restoreSysctls() error {
	var errs []error
	for _, s := range p.sysctls {
		if err := os.WriteFile(s.path, []byte(s.before), 0); err != nil {
			errs = append(errs, fmt.Errorf("restore sysctl %s: %w", s.path, err))
		}
	}
	p.sysctls = nil
	return errors.Join(errs...)
}
