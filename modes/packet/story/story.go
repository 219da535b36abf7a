// Package story reads packet stories: text files that say what Services there are,
// what packet is sent, and what is to become of it. Every mode must tell the same
// story, in a real kernel and in the tracer; where a mode cannot, the story says
// what becomes of the packet there.
//
//	# one snapshot a file, of one or both address families
//	cluster 10.128.0.0/9
//	service web 10.96.0.10 port tcp/80:8080:30080 to 10.128.0.1,10.128.0.2@local
//	service api 10.96.0.11 port tcp/80:8080 external 10.111.0.1 affinity 10s
//
//	a client reaches an endpoint: client tcp 10.96.0.10:80 => endpoint 10.128.0.1,10.128.0.2 source kept
//	nobody serves another port: client tcp 10.96.0.10:81 => unserved
//
// A service line has ports as protocol/port:target[:node port], endpoints (with
// @local for those on the node) and further words: external, balancer, sources,
// affinity, policy, internal (traffic policy), health (check port). A story is a title, where the packet starts (client, node, or
// an endpoint's address), protocol and destination, and its fate: endpoint with a
// list and the source seen (kept, node), stays (affinity: the endpoint of the
// packet before), refused, dropped, unserved (a reset, or nothing), closed (by the
// proxy). "; MODE: FATE" after it names
// another fate in one mode.
package story

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"viplab/modes"
)

// Book is a file of stories on one Snapshot.
type Book struct {
	Name     string
	Snapshot modes.Snapshot
	Stories  []Story
}

// Story is one packet and what is to become of it.
type Story struct {
	Title string
	// From is client, node or an endpoint's address.
	From  string
	Proto modes.Protocol
	Dst   netip.AddrPort
	Fate  Fate
	// Except holds other fates, by mode.
	Except map[string]Fate
}

// In is the fate in a mode.
func (s Story) In(mode string) Fate {
	if f, ok := s.Except[mode]; ok {
		return f
	}
	return s.Fate
}

// Kinds of fates.
const (
	Endpoint = "endpoint"
	Stays    = "stays"
	Refused  = "refused"
	Dropped  = "dropped"
	Unserved = "unserved"
	Closed   = "closed"
)

// Fate is what becomes of a packet.
type Fate struct {
	Kind string
	// Endpoints are those that may be reached; Kept is whether they see the
	// sender's own address, not the node's.
	Endpoints []netip.Addr
	Kept      bool
}

// Read reads a Book. Its error names the line.
func Read(name string, r io.Reader) (Book, error) {
	b := Book{Name: name}
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		line, _, _ := strings.Cut(in.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := b.line(line); err != nil {
			return b, fmt.Errorf("%s, line %d: %w", name, n, err)
		}
	}
	if err := in.Err(); err != nil {
		return b, fmt.Errorf("read %s: %w", name, err)
	}
	slices.SortFunc(b.Snapshot.Services, (*modes.Service).Compare)
	if err := b.Snapshot.Validate(); err != nil {
		return b, fmt.Errorf("%s: %w", name, err)
	}
	if len(b.Stories) == 0 {
		return b, fmt.Errorf("%s: it tells no story", name)
	}
	return b, nil
}

func (b *Book) line(line string) (err error) {
	words := strings.Fields(line)
	switch words[0] {
	case "cluster":
		if len(words) != 2 {
			return fmt.Errorf("cluster needs one range")
		}
		p, err := netip.ParsePrefix(words[1])
		if p.IsValid() && p.Addr().Is6() {
			b.Snapshot.ClusterCIDR6 = p
			return err
		}
		b.Snapshot.ClusterCIDR = p
		return err
	case "service":
		svc, err := service(words[1:])
		b.Snapshot.Services = append(b.Snapshot.Services, svc)
		return err
	}
	s, err := parseStory(line)
	b.Stories = append(b.Stories, s)
	return err
}

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
			text, local := strings.CutSuffix(one, "@local")
			a, err := netip.ParseAddr(text)
			if err != nil {
				return err
			}
			svc.Endpoints = append(svc.Endpoints, modes.Endpoint{Addr: a, Local: local})
		}
	case "external":
		svc.ExternalIPs, err = addrs(list)
	case "balancer":
		svc.LoadBalancerIPs, err = addrs(list)
	case "sources":
		for _, one := range list {
			p, err := netip.ParsePrefix(one)
			if err != nil {
				return err
			}
			svc.SourceRanges = append(svc.SourceRanges, p)
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
		return fmt.Errorf("unknown word: valid are port, to, external, balancer, sources, affinity, policy, internal, health")
	}
	return err
}

// port reads "tcp/80:8080" or "tcp/80:8080:30080".
func port(s string) (modes.ServicePort, error) {
	proto, numbers, ok := strings.Cut(s, "/")
	parts := strings.Split(numbers, ":")
	if !ok || len(parts) < 2 || len(parts) > 3 {
		return modes.ServicePort{}, fmt.Errorf("%q is no port: want protocol/port:target[:node port]", s)
	}
	p := modes.ServicePort{Name: proto + parts[0], Protocol: modes.Protocol(proto)}
	for i, into := range []*uint16{&p.Port, &p.TargetPort, &p.NodePort}[:len(parts)] {
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil {
			return p, fmt.Errorf("%q is no port: %w", s, err)
		}
		*into = uint16(n)
	}
	return p, nil
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

// parseStory reads "TITLE: FROM PROTO DST => FATE; MODE: FATE".
func parseStory(line string) (Story, error) {
	head, tail, ok := strings.Cut(line, "=>")
	title, packet, ok2 := strings.Cut(head, ": ")
	words := strings.Fields(packet)
	if !ok || !ok2 || len(words) != 3 {
		return Story{}, fmt.Errorf("%q is no story: want TITLE: FROM PROTOCOL DESTINATION => FATE", line)
	}
	s := Story{Title: title, From: words[0], Proto: modes.Protocol(words[1]), Except: map[string]Fate{}}
	if s.Proto.Number() == 0 {
		return s, fmt.Errorf("unknown protocol %q", words[1])
	}
	if s.From != "client" && s.From != "node" {
		if _, err := netip.ParseAddr(s.From); err != nil {
			return s, fmt.Errorf("a packet starts at client, node or an endpoint's address, not %q", s.From)
		}
	}
	var err error
	if s.Dst, err = netip.ParseAddrPort(words[2]); err != nil {
		return s, err
	}
	for i, part := range strings.Split(tail, ";") {
		mode, text, named := strings.Cut(part, ":")
		if i == 0 {
			mode, text = "", part
		} else if !named {
			return s, fmt.Errorf("%q names no mode", part)
		}
		f, err := fate(strings.Fields(text))
		if err != nil {
			return s, err
		}
		if i == 0 {
			s.Fate = f
			continue
		}
		for _, m := range strings.Split(strings.TrimSpace(mode), ",") {
			s.Except[m] = f
		}
	}
	return s, nil
}

func fate(words []string) (f Fate, err error) {
	if len(words) == 0 {
		return f, fmt.Errorf("a story needs a fate")
	}
	f.Kind = words[0]
	switch {
	case f.Kind == Endpoint:
		if len(words) != 4 || words[2] != "source" || words[3] != "kept" && words[3] != "node" {
			return f, fmt.Errorf("fate endpoint needs a list and the source: endpoint A,B source kept|node")
		}
		f.Kept = words[3] == "kept"
		f.Endpoints, err = addrs(strings.Split(words[1], ","))
		return f, err
	case len(words) > 1 || !slices.Contains([]string{Stays, Refused, Dropped, Unserved, Closed}, f.Kind):
		return f, fmt.Errorf("unknown fate %q: valid are endpoint, stays, refused, dropped, unserved, closed", strings.Join(words, " "))
	}
	return f, nil
}
