package modes

import (
	"fmt"
	"net/netip"
)

// front is what clients dial: an address, or all of the node's, and a port.
type front struct {
	addr  netip.Addr
	port  uint16
	proto Protocol
}

// claim is by whom, and whether as a health check port.
type claim struct {
	by     *Service
	health bool
}

// claims is who claims what.
type claims map[front]claim

// add claims what a Service needs for itself.
func (c claims) add(svc *Service) error {
	for _, p := range svc.Ports {
		fronts := []front{{svc.ClusterIP, p.Port, p.Protocol}}
		for _, list := range [][]netip.Addr{svc.ExternalIPs, svc.LoadBalancerIPs} {
			for _, a := range list {
				fronts = append(fronts, front{a, p.Port, p.Protocol})
			}
		}
		if p.NodePort != 0 {
			fronts = append(fronts, front{svc.Family().Unspecified(), p.NodePort, p.Protocol})
		}
		for _, f := range fronts {
			if err := c.take(f, svc, false); err != nil {
				return err
			}
		}
	}
	if svc.HealthPort == 0 {
		return nil
	}
	// The server behind it listens on the addresses of both families.
	for _, f := range Dual.Parts() {
		if err := c.take(front{f.Unspecified(), svc.HealthPort, TCP}, svc, true); err != nil {
			return err
		}
	}
	return nil
}

func (c claims) take(f front, svc *Service, health bool) error {
	o, taken := c[f]
	switch {
	case !taken:
		c[f] = claim{svc, health}
		return nil
	case health && o.health && o.by.Key() == svc.Key():
		return nil // the other family of the same Service
	case health && o.health:
		return fmt.Errorf("services %s and %s both claim the health check port %d", o.by.Key(), svc.Key(), f.port)
	case health:
		return fmt.Errorf("service %s: health check port %d is a node port of service %s", svc.Key(), f.port, o.by.Key())
	case o.health:
		return fmt.Errorf("service %s: node port %d is the health check port of service %s", svc.Key(), f.port, o.by.Key())
	case o.by == svc:
		return fmt.Errorf("service %s claims %s:%d/%s twice", svc.Key(), f.addr, f.port, f.proto)
	}
	return fmt.Errorf("services %s and %s both claim %s:%d/%s", o.by.Key(), svc.Key(), f.addr, f.port, f.proto)
}
