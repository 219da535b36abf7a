package story

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"viplab/modes"
)

func service(words []string) (*modes.Service, error) {
	if len(words) < 2 || len(words)%2 != 0 {
		return nil, fmt.Errorf("service needs a name, an address, and words in pairs")
	}
	svc := &modes.Service{Namespace: "story", Name: words[0]}
	var err error
	if svc.ClusterIP, err = netip.ParseAddr(words[1]); err != nil {
		return nil, err
	}
	for i := 2; i < len(words); i += 2 {
		if err := set(svc, words[i], words[i+1]); err != nil {
			return nil, fmt.Errorf("service %s, %s: %w", svc.Name, words[i], err)
		}
	}
	return svc, nil
}

func set(svc *modes.Service, word, value string) (err error) {
	list := strings.Split(value, ",")
	switch word {
	case "port":
		for _, one := range list {
			p, err := port(one)
			if err != nil {
				return err
			}
			svc.Ports = append(svc.Ports, p)
		}
	case "to":
		for _, one := range list {
			ep, err := endpoint(one)
			if err != nil {
				return err
			}
			svc.Endpoints = append(svc.Endpoints, ep)
		}
	case "external":
		svc.ExternalIPs, err = addrs(list)
	case "balancer":
		svc.LoadBalancerIPs, err = addrs(list)
	case "sources":
		svc.SourceRanges, err = prefixes(list)
	case "publish":
		svc.PublishUnready = value == "unready"
		if !svc.PublishUnready {
			return fmt.Errorf("what may be published is unready, got %q", value)
		}
	case "health":
		n, err := strconv.ParseUint(value, 10, 16)
		svc.HealthPort = uint16(n)
		return err
	case "internal":
		if value != "local" && value != "cluster" {
			return fmt.Errorf("unknown internal policy %q: valid are cluster, local", value)
		}
		svc.InternalLocal = value == "local"
	case "affinity":
		svc.Affinity, err = time.ParseDuration(value)
	case "policy":
		if value != "local" && value != "cluster" {
			return fmt.Errorf("unknown policy %q: valid are cluster, local", value)
		}
		svc.ExternalLocal = value == "local"
	default:
		return fmt.Errorf("unknown word: valid are port, to, external, balancer, sources, affinity, policy, internal, health, publish")
	}
	return err
}

// port reads "tcp/80:8080", "tcp/80:8080:30080", or "tcp/80:http", the name of a port that
// each endpoint gives a number.
func port(s string) (modes.ServicePort, error) {
	proto, numbers, ok := strings.Cut(s, "/")
	parts := strings.Split(numbers, ":")
	if !ok || len(parts) < 2 || len(parts) > 3 {
		return modes.ServicePort{}, fmt.Errorf("%q is no port: want protocol/port:target[:node port]", s)
	}
	p := modes.ServicePort{Name: proto + parts[0], Protocol: modes.Protocol(proto)}
	for i, into := range []*uint16{&p.Port, &p.TargetPort, &p.NodePort}[:len(parts)] {
		if i == 1 && strings.ContainsAny(parts[i], letters) {
			continue
		}
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil {
			return p, fmt.Errorf("%q is no port: %w", s, err)
		}
		*into = uint16(n)
	}
	return p, nil
}

// letters are those of the names of ports, which have at least one.
const letters = "abcdefghijklmnopqrstuvwxyz"

// endpoint reads "10.128.0.1", "10.128.0.1:8080" or "[fd00::1]:8080", with marks behind @.
func endpoint(s string) (ep modes.Endpoint, err error) {
	at, marks, marked := strings.Cut(s, "@")
	if ep.Addr, err = netip.ParseAddr(at); err != nil {
		with, err2 := netip.ParseAddrPort(at)
		if err2 != nil {
			return ep, err
		}
		ep.Addr, ep.Port = with.Addr(), with.Port()
	}
	if !marked {
		return ep, nil
	}
	for _, m := range strings.Split(marks, "@") {
		if err := mark(&ep, m); err != nil {
			return ep, fmt.Errorf("endpoint %s: %w", at, err)
		}
	}
	return ep, nil
}

func mark(ep *modes.Endpoint, s string) (err error) {
	word, value, _ := strings.Cut(s, "=")
	switch word {
	case "local":
		ep.Local = true
	case "terminating":
		ep.Condition = modes.Terminating
	case "unready":
		ep.Condition = modes.Unready
	case "only":
		ep.Only = value
	case "node":
		ep.NodeHint, err = hint(value)
	case "zone":
		ep.ZoneHint, err = hint(value)
	case "weight":
		var n uint64
		n, err = strconv.ParseUint(value, 10, 16)
		ep.Weight = uint16(n)
	default:
		return fmt.Errorf("unknown mark %q: valid are local, terminating, unready, only, node, zone, weight", s)
	}
	return err
}

func hint(s string) (modes.Hint, error) {
	switch s {
	case "here":
		return modes.Here, nil
	case "away":
		return modes.Elsewhere, nil
	}
	return modes.NoHint, fmt.Errorf("unknown hint %q: valid are here, away", s)
}

// setNode reads one setting of the node.
func setNode(n *modes.NodeConfig, word, value string) (err error) {
	switch {
	case word == "masquerade" && value == "all":
		n.MasqueradeAll = true
	case word == "localhost" && value == "off":
		n.NoLocalhostNodePorts = true
	case word == "nodeports":
		n.NodePortAddresses, err = prefixes(strings.Split(value, ","))
	case word == "range":
		_, err = fmt.Sscanf(value, "%d-%d", &n.NodePorts.First, &n.NodePorts.Last)
	default:
		return fmt.Errorf("unknown setting %q: valid are masquerade all, nodeports RANGES, localhost off, range FIRST-LAST", value)
	}
	return err
}

func prefixes(list []string) (out []netip.Prefix, err error) {
	for _, one := range list {
		p, err := netip.ParsePrefix(one)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func addrs(list []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, one := range list {
		a, err := netip.ParseAddr(one)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}
