package dump

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"viplab/modes"
	"viplab/modes/packet"
)

// virtual is a virtual server with its real servers.
type virtual struct {
	front     modes.Front
	mark      uint32 // of one that is found by the packet's mark instead
	scheduler string
	sticky    bool
	place     string // file:line
	real      []real
}

type real struct {
	addr   netip.AddrPort
	weight int
	// way is how packets are sent to it, beside masquerading (-m), which is "".
	way   string
	place string // file:line
}

// servers are those that `ipvsadm -Sn` wrote.
type servers struct {
	list []*virtual
	at   map[string]*virtual // by how ipvsadm names them: "-t 10.96.0.1:443"
}

// isServer tells whether a line is one of `ipvsadm -Sn`.
func isServer(line string) bool {
	words := strings.Fields(line)
	return len(words) > 2 && (words[0] == "-A" || words[0] == "-a") && serviceKind(words[1]) != ""
}

// serviceKind is the protocol that an option of ipvsadm stands for, or "mark".
func serviceKind(option string) string {
	return map[string]string{"-t": "tcp", "--tcp-service": "tcp", "-u": "udp", "--udp-service": "udp", "--sctp-service": "sctp",
		"-f": "mark", "--fwmark-service": "mark"}[option]
}

// read takes one line over, which stands at a place.
func (s *servers) read(line, place string) error {
	words := strings.Fields(line)
	if len(words) < 3 || serviceKind(words[1]) == "" {
		return fmt.Errorf("%q is cut off: ipvsadm -Sn writes -A -t ADDRESS:PORT ... and -a -t ADDRESS:PORT -r ADDRESS:PORT ...", line)
	}
	key := words[1] + " " + words[2]
	if words[0] == "-a" {
		v := s.at[key]
		if v == nil {
			return fmt.Errorf("a real server of %s, which is not there before", key)
		}
		return v.add(words[3:], place)
	}
	if s.at[key] != nil {
		return fmt.Errorf("virtual server %s is there twice", key)
	}
	v := &virtual{place: place}
	if kind := serviceKind(words[1]); kind == "mark" {
		n, err := strconv.ParseUint(words[2], 10, 32)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is no mark of a virtual server", words[2])
		}
		v.mark = uint32(n)
	} else {
		at, err := netip.ParseAddrPort(words[2])
		if err != nil {
			return fmt.Errorf("%q is no address and port: write the dump by ipvsadm -Sn, without names", words[2])
		}
		v.front = modes.Front{Proto: modes.Protocol(kind), Addr: at}
	}
	for i, w := range words {
		switch w {
		case "-s", "--scheduler":
			v.scheduler = strings.Join(words[i+1:min(i+2, len(words))], "")
		case "-p", "--persistent":
			v.sticky = true
		}
	}
	if s.at == nil {
		s.at = map[string]*virtual{}
	}
	s.at[key] = v
	s.list = append(s.list, v)
	return nil
}

// add takes a real server over.
func (v *virtual) add(words []string, place string) error {
	r := real{weight: 1, place: place, way: wayTo(words)}
	for i := 0; i+1 < len(words); i++ {
		var err error
		switch words[i] {
		case "-r", "--real-server":
			r.addr, err = netip.ParseAddrPort(words[i+1])
		case "-w", "--weight":
			r.weight, err = strconv.Atoi(words[i+1])
		}
		if err != nil || r.weight < 0 {
			return fmt.Errorf("%s %q of a real server cannot be read", words[i], words[i+1])
		}
	}
	if !r.addr.IsValid() {
		return fmt.Errorf("a real server of %s without an address: the line was cut off", v.front.Addr)
	}
	v.real = append(v.real, r)
	return nil
}

// wayTo is how packets are sent to a real server, "" for masquerading.
func wayTo(words []string) string {
	way := "by direct routing (-g)" // what ipvsadm does if nothing else is said
	for _, w := range words {
		switch w {
		case "-m", "--masquerading":
			way = ""
		case "-i", "--ipip":
			way = "through a tunnel (-i)"
		}
	}
	return way
}

// beyond are the real servers that get packets otherwise than by masquerading: nothing on
// the node shows where those arrive, and as what.
func (v *virtual) beyond() map[netip.AddrPort]packet.Beyond {
	out := map[netip.AddrPort]packet.Beyond{}
	for _, r := range v.real {
		if r.way != "" {
			out[r.addr] = packet.Beyond{Place: r.place, Why: fmt.Sprintf(
				"virtual server %s %s sends packets to %s %s, to where they cannot be followed", v.front.Proto, v.front.Addr, r.addr, r.way)}
		}
	}
	return out
}

// weighted tells whether a scheduler minds weights otherwise than as 0 or not.
func (v *virtual) weighted() bool {
	switch v.scheduler {
	case "rr", "lc", "sh", "dh", "nq", "lblc", "lblcr":
		return false
	}
	return true
}

// choices are the real servers that the next connection can go to, each as often as its
// share is. Those of weight 0 get none.
func (v *virtual) choices() (out []netip.AddrPort) {
	common := 0
	for _, r := range v.real {
		common = divisor(common, r.weight)
	}
	for _, r := range v.real {
		times := min(r.weight, 1)
		if v.weighted() && common > 0 {
			times = min(r.weight/common, maxShare)
		}
		for range times {
			out = append(out, r.addr)
		}
	}
	return out
}

// maxShare bounds how often a real server is listed.
const maxShare = 1000

func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
