package ipset

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Types of sets that are not as the others are.
const (
	listType   = "list:set"
	bitmapPort = "bitmap:port"
)

func number(n uint64) string { return strconv.FormatUint(n, 10) }
func hex(n uint32) string    { return fmt.Sprintf("%08x", n) }

// IsLine tells whether a line is one of `ipset save`.
func IsLine(line string) bool {
	return strings.HasPrefix(line, "create ") || strings.HasPrefix(line, "add ")
}

// Read takes one line over. Errors do not name it.
func (s Sets) Read(line string) error {
	words := strings.Fields(line)
	if len(words) < 3 {
		return fmt.Errorf("%q is cut off: ipset save writes create NAME TYPE and add NAME ENTRY", line)
	}
	if words[0] == "create" {
		return s.create(words[1], words[2], words[3:])
	}
	set := s[words[1]]
	if set == nil {
		return fmt.Errorf("an entry of set %s, which is not created before", words[1])
	}
	return set.add(words[2], words[3:])
}

func (s Sets) create(name, kind string, options []string) error {
	if s[name] != nil {
		return fmt.Errorf("set %s is created twice", name)
	}
	storage, parts, ok := strings.Cut(kind, ":")
	if !ok || storage != "hash" && storage != "bitmap" && storage != "list" {
		return fmt.Errorf("%q is no type of a set", kind)
	}
	set := &Set{Name: name, Type: kind, Parts: strings.Split(parts, ","), entries: map[string]bool{}}
	set.lengths = make([][]int, len(set.Parts))
	for i, o := range options {
		if i+1 == len(options) {
			break
		}
		switch o {
		case "family":
			set.Family6 = options[i+1] == "inet6"
		case "netmask":
			bits, err := strconv.Atoi(options[i+1])
			if err != nil || bits < 1 || bits > 128 || !set.Family6 && bits > 32 {
				return fmt.Errorf("set %s: %q is no netmask", name, options[i+1])
			}
			set.bits = bits
		}
	}
	s[name] = set
	return nil
}

func (s *Set) add(entry string, options []string) error {
	if s.Type == listType {
		s.members = append(s.members, entry)
		return nil
	}
	parts := strings.Split(entry, ",")
	if len(parts) != len(s.Parts) {
		return fmt.Errorf("set %s of %s cannot hold %q", s.Name, s.Type, entry)
	}
	for i := range parts {
		var err error
		if parts[i], err = s.part(i, parts[i]); err != nil {
			return fmt.Errorf("set %s of %s cannot hold %q: %w", s.Name, s.Type, entry, err)
		}
	}
	matches := true
	for i, o := range options {
		// What follows comment is text.
		if o == "comment" {
			break
		}
		if o == "nomatch" && (i == 0 || options[i-1] != "comment") {
			matches = false
		}
	}
	s.entries[strings.Join(parts, ",")] = matches
	return nil
}

// part is a part of an entry in the form in which packets are looked up.
func (s *Set) part(at int, text string) (string, error) {
	switch s.Parts[at] {
	case "ip":
		a, err := netip.ParseAddr(text)
		if err != nil || a.Is6() != s.Family6 {
			return "", fmt.Errorf("%q is no address of it", text)
		}
		return a.String(), nil
	case "net":
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return "", fmt.Errorf("%q is no range", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is6() != s.Family6 {
			return "", fmt.Errorf("%q is of the other address family", text)
		}
		s.hasLength(at, p.Bits())
		return p.Masked().String(), nil
	case "port":
		return s.port(text)
	case "mark":
		n, err := strconv.ParseUint(text, 0, 32)
		return "0x" + hex(uint32(n)), err
	}
	return text, nil
}

func (s *Set) port(text string) (string, error) {
	proto, port, ok := strings.Cut(text, ":")
	if !ok {
		proto, port = "tcp", text
	}
	if strings.Contains(proto, "icmp") {
		return text, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		return "", errors.New("no port")
	case s.Type == bitmapPort:
		return number(n), nil
	}
	return proto + ":" + number(n), nil
}
