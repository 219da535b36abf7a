package trial

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	mobyipvs "github.com/moby/ipvs"

	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

const (
	// reusedPorts is how many local ports a client uses again and again, under each
	// setting others, since IPVS remembers a flow for two minutes.
	reusedPorts    = 40
	firstReusePort = 20000
	// A connect between these was a SYN that was dropped and sent again.
	slowFrom, slowTo = 950 * time.Millisecond, 1500 * time.Millisecond
)

// reuse lets a client use its local ports again while IPVS still remembers their
// flows: under every combination of the sysctls that decide what happens then, with
// all real servers in place, with one drained (weight 0), and with it removed.
func (r *run) reuse(ctx context.Context) error {
	if !r.Plan.Reuse || r.Mode != "ipvs" {
		return nil
	}
	port := firstReusePort
	for _, mode := range []string{"0", "1", "2"} {
		for _, expire := range []string{"0", "1"} {
			for _, conntrack := range []string{"0", "1"} {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.step("reused ports, conn_reuse_mode %s, expire_nodest_conn %s, conntrack %s", mode, expire, conntrack)
				f := map[string]string{results.ReuseMode: mode, results.Expire: expire, results.Conntrack: conntrack}
				if err := r.reuseUnder(ctx, f, port); err != nil {
					return err
				}
				port += reusedPorts
			}
		}
	}
	// What the mode itself sets.
	return r.setVS(map[string]string{results.ReuseMode: "1", results.Expire: "1", results.Conntrack: "1"})
}

// setVS sets sysctls of IPVS in the node.
func (r *run) setVS(values map[string]string) error {
	return r.net.Node.Do(func() error {
		for name, v := range map[string]string{
			"conn_reuse_mode": values[results.ReuseMode], "expire_nodest_conn": values[results.Expire], "conntrack": values[results.Conntrack],
		} {
			if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4/vs", name), []byte(v), 0); err != nil {
				return fmt.Errorf("set sysctl net.ipv4.vs.%s to %s: %w", name, v, err)
			}
		}
		return nil
	})
}

func (r *run) reuseUnder(ctx context.Context, f map[string]string, firstPort int) error {
	if err := r.setVS(f); err != nil {
		return err
	}
	ports := make([]uint16, reusedPorts)
	for i := range ports {
		ports[i] = uint16(firstPort + i)
	}
	svc := r.service(0)
	gone := svc.Endpoints[0]
	_ = r.reuseRound(ctx, svc, ports) // makes the flows that the rest meets again
	for _, phase := range []struct {
		name   string
		change func(*mobyipvs.Handle, *mobyipvs.Service, *mobyipvs.Destination) error
	}{
		{"all servers", nil},
		{"weight 0", func(h *mobyipvs.Handle, s *mobyipvs.Service, d *mobyipvs.Destination) error {
			d.Weight = 0
			return h.UpdateDestination(s, d)
		}},
		{"removed", (*mobyipvs.Handle).DelDestination},
	} {
		if phase.change != nil {
			if err := r.onServer(svc, gone, phase.change); err != nil {
				return fmt.Errorf("%s: %w", phase.name, err)
			}
		}
		start := time.Now()
		list := r.reuseRound(ctx, svc, ports)
		r.recordReuse(f, phase.name, list, gone.Addr, time.Since(start))
	}
	return r.onServer(svc, gone, (*mobyipvs.Handle).NewDestination)
}

func (r *run) reuseRound(ctx context.Context, svc *modes.Service, ports []uint16) (list []workload.Reused) {
	_ = r.net.Client.Do(func() error { list = workload.Reuse(ctx, front(svc), ports); return nil })
	return list
}

// onServer changes one real server of a Service's first port behind the mode's
// back, as an administrator would with ipvsadm.
func (r *run) onServer(svc *modes.Service, ep modes.Endpoint, change func(*mobyipvs.Handle, *mobyipvs.Service, *mobyipvs.Destination) error) error {
	return r.net.Node.Do(func() error {
		h, err := mobyipvs.New("")
		if err != nil {
			return fmt.Errorf("open ipvs: %w", err)
		}
		defer h.Close()
		s := r.virtualServer(svc)
		d := &mobyipvs.Destination{AddressFamily: s.AddressFamily, Address: net.IP(ep.Addr.AsSlice()), Port: r.Synth.TargetPort(), Weight: 1, ConnectionFlags: mobyipvs.ConnectionFlagMasq}
		return change(h, s, d)
	})
}

func (r *run) recordReuse(f map[string]string, phase string, list []workload.Reused, gone netip.Addr, took time.Duration) {
	with := map[string]string{results.Phase: phase}
	for k, v := range f {
		with[k] = v
	}
	var connects []float64
	slow, failed, stale := 0, 0, 0
	for _, c := range list {
		switch {
		case c.Err != nil:
			failed++
			continue
		case c.Connect >= slowFrom && c.Connect <= slowTo:
			slow++
		}
		connects = append(connects, c.Connect.Seconds())
		if c.Endpoint == gone {
			stale++
		}
	}
	n := float64(max(1, len(list)))
	r.record(results.ReuseConnect, with, connects...)
	r.record(results.ReuseSlow, with, float64(slow)/n)
	r.record(results.ReuseFailed, with, float64(failed)/n)
	r.record(results.ReuseRate, with, float64(len(list)-failed)/took.Seconds())
	if phase != "all servers" {
		r.record(results.ReuseStale, with, float64(stale)/n)
	}
}
