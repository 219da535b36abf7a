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
// A service line has ports as protocol/port:target[:node port], where the target may be
// a name; endpoints, ADDRESS[:PORT] (ports of IPv6 behind [ADDRESS]), each with marks
// behind @: local (on the node), terminating, unready, only=PORT NAME (ports are named
// by protocol and number: tcp80), node=here|away and zone=here|away (topology hints),
// weight=N; and further words: external, balancer, sources, affinity, policy, internal
// (traffic policy), health (check port), publish unready.
//
// A node line has settings of the whole node: masquerade all, nodeports RANGE,RANGE
// (addresses at which they are served), localhost off (no node ports there), range
// FIRST-LAST (of node ports).
//
// A story is a title, where the packet starts (client, node, or
// an endpoint's address), protocol and destination, and its fate: endpoint with a
// list and the source seen (kept, node, or dialled: the address that the packet went
// to), stays (affinity: the endpoint of the packet before), refused, dropped, unserved (a
// reset, or nothing), closed (by the proxy). "; MODE: FATE" after it names another fate in
// one mode.
package story

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"viplab/modes"
	"viplab/modes/plaintext"
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
	// Flow is the packet; that of one from the client has no source yet.
	Flow modes.Flow
	Fate Fate
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
	// Endpoints are those that may be reached, and Source is the address that they see.
	Endpoints []netip.Addr
	Source    string
}

// Sources that an endpoint may see: the sender's own address, one of the node's, or the
// one that was dialled.
const (
	Kept    = "kept"
	Node    = "node"
	Dialled = "dialled"
)

// WrongSource says what is not as told of the source that an endpoint saw, "" if nothing
// is: of a packet from a sender to an address that was dialled.
func (f Fate) WrongSource(seen, sender, dialled netip.Addr, isNode func(netip.Addr) bool) string {
	switch {
	case f.Source == Kept && seen != sender, f.Source == Dialled && seen != dialled:
		return fmt.Sprintf("the endpoint saw %s", seen)
	case f.Source == Node && !isNode(seen):
		return fmt.Sprintf("the endpoint saw %s, not the node", seen)
	}
	return ""
}

// Read reads a Book, which may have Services alone. Its error names the line.
func Read(name string, r io.Reader) (Book, error) {
	b := Book{Name: name}
	in := bufio.NewScanner(plaintext.Reader(r))
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
	var err error
	if b.Snapshot, err = b.Snapshot.Normal(); err != nil {
		return b, fmt.Errorf("%s: %w", name, err)
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
	case "node":
		if len(words)%2 == 0 {
			return fmt.Errorf("node needs words in pairs")
		}
		for i := 1; i < len(words); i += 2 {
			if err := setNode(&b.Snapshot.Node, words[i], words[i+1]); err != nil {
				return fmt.Errorf("node, %s: %w", words[i], err)
			}
		}
		return nil
	}
	s, err := parseStory(line)
	b.Stories = append(b.Stories, s)
	return err
}

// parseStory reads "TITLE: FROM PROTO DST => FATE; MODE: FATE".
func parseStory(line string) (Story, error) {
	head, tail, ok := strings.Cut(line, "=>")
	title, text, ok2 := strings.Cut(head, ": ")
	if !ok || !ok2 {
		return Story{}, fmt.Errorf("%q is no story: want TITLE: FROM PROTOCOL DESTINATION => FATE", line)
	}
	s := Story{Title: title, Except: map[string]Fate{}}
	var err error
	if s.Flow, err = modes.ParseFlow(text); err != nil {
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
		if len(words) != 4 || words[2] != "source" || !slices.Contains([]string{Kept, Node, Dialled}, words[3]) {
			return f, fmt.Errorf("fate endpoint needs a list and the source: endpoint A,B source kept|node|dialled")
		}
		f.Source = words[3]
		f.Endpoints, err = addrs(strings.Split(words[1], ","))
		return f, err
	case len(words) > 1 || !slices.Contains([]string{Stays, Refused, Dropped, Unserved, Closed}, f.Kind):
		return f, fmt.Errorf("unknown fate %q: valid are endpoint, stays, refused, dropped, unserved, closed", strings.Join(words, " "))
	}
	return f, nil
}
