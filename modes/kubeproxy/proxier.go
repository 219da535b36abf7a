package kubeproxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/pipe"
)

// Proxier is one of kube-proxy's proxiers, for one address family.
type Proxier struct {
	*pipe.Proxier
	dir, backend string
	release      string
	kept         map[string][]byte // sysctls as they were, by path
}

// sysctls are those that kube-proxy sets and that --cleanup leaves (sysctlRouteLocalnet,
// sysctlForward, sysctlVSConnTrack and others in pkg/proxy of Kubernetes 1.37).
func sysctls() []string {
	return []string{
		"net/ipv4/conf/all/route_localnet", "net/ipv4/ip_forward", "net/ipv4/vs/conntrack", "net/ipv4/vs/conn_reuse_mode",
		"net/ipv4/vs/expire_nodest_conn", "net/ipv4/vs/expire_quiescent_template",
	}
}

func newProxier(p peer, name, release, backend string, f modes.Family) *Proxier {
	if backend == "" {
		backend = iptables.Legacy
	}
	return &Proxier{release: release, backend: backend, Proxier: pipe.New(pipe.Options{
		Mode: name, Args: modes.Args{"mode": p.of.Name}, Family: f, Limits: p.limits, Check: p.needs(f, backend), Show: p.show[f],
		Untidy: true, // KUBE-PROXY-CANARY
	})}
}

// ready finds the program.
func (p *Proxier) ready() error {
	dir, path, err := program(p.release)
	if err != nil {
		return err
	}
	p.Command = []string{path}
	p.Env = []string{"PATH=" + filepath.Join(dir, p.backend) + ":" + os.Getenv("PATH")}
	return nil
}

// Probe implements [modes.Proxier]. Where the program was not built it is a
// [modes.MissingError] that names make peers.
func (p *Proxier) Probe(ctx context.Context) error {
	if err := p.ready(); err != nil {
		return err
	}
	if err := p.keep(); err != nil {
		return err
	}
	return errors.Join(p.Proxier.Probe(ctx), p.restore())
}

// Sync implements [modes.Proxier].
func (p *Proxier) Sync(ctx context.Context, s modes.Snapshot) (modes.Cost, error) {
	if err := errors.Join(p.ready(), p.keep()); err != nil {
		return modes.Cost{}, err
	}
	return p.Proxier.Sync(ctx, s)
}

// Close implements [modes.Proxier].
func (p *Proxier) Close() error {
	return errors.Join(p.Proxier.Close(), p.removeLeft(), p.restore())
}

// Leave implements [modes.Leaver]. Some sysctls are the whole kernel's.
func (p *Proxier) Leave() error { return errors.Join(p.Proxier.Leave(), p.restore()) }

// keep remembers the sysctls as they are before kube-proxy first runs.
func (p *Proxier) keep() error {
	if p.kept != nil {
		return nil
	}
	kept := map[string][]byte{}
	for _, name := range sysctls() {
		path := filepath.Join("/proc/sys", name)
		switch value, err := os.ReadFile(path); {
		case err == nil:
			kept[path] = value
		case !errors.Is(err, os.ErrNotExist): // this kernel has no IPVS
			return fmt.Errorf("read sysctl: %w", err)
		}
	}
	p.kept = kept
	return nil
}

// restore puts the sysctls back that changed.
func (p *Proxier) restore() error {
	var errs []error
	for path, before := range p.kept {
		now, err := os.ReadFile(path)
		if err == nil && string(now) != string(before) {
			err = os.WriteFile(path, before, 0)
		}
		errs = append(errs, err)
	}
	p.kept = nil
	return errors.Join(errs...)
}
