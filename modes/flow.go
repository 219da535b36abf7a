package modes

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParseFlow reads a flow as stories write it: where it starts (client, node, or an
// endpoint's address), protocol and destination, for example "client tcp 10.96.0.10:80".
// The source of one that starts at the client is left open, see [Flow.At].
func ParseFlow(text string) (Flow, error) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return Flow{}, fmt.Errorf("%q is no packet: want FROM PROTOCOL DESTINATION, such as client tcp 10.96.0.10:80", text)
	}
	f := Flow{From: From(words[0]), Proto: Protocol(words[1])}
	if f.Proto.Number() == 0 {
		return f, fmt.Errorf("unknown protocol %q: valid are tcp, udp, sctp", words[1])
	}
	var err error
	if f.Dst, err = netip.ParseAddrPort(words[2]); err != nil {
		return f, fmt.Errorf("%q is no destination: want ADDRESS:PORT, or [ADDRESS]:PORT of IPv6: %w", words[2], err)
	}
	if f.From == FromClient || f.From == FromNode {
		return f, nil
	}
	src, err := netip.ParseAddr(words[0])
	if err != nil {
		return f, fmt.Errorf("a packet starts at client, node or an endpoint's address, not %q", words[0])
	}
	if FamilyOf(src) != FamilyOf(f.Dst.Addr()) {
		return f, fmt.Errorf("a packet from %s cannot go to %s, which is of the other address family", src, f.Dst.Addr())
	}
	f.From, f.Src = FromPod, netip.AddrPortFrom(src, FirstLocalPort)
	return f, nil
}

// At is the flow with the client's address as its source, if it starts there.
func (f Flow) At(client netip.Addr) Flow {
	if f.From == FromClient && !f.Src.IsValid() {
		f.Src = netip.AddrPortFrom(client, FirstLocalPort)
	}
	return f
}

// String is the flow as [ParseFlow] reads it.
func (f Flow) String() string {
	from := string(f.From)
	if f.From == FromPod {
		from = f.Src.Addr().String()
	}
	return fmt.Sprintf("%s %s %s", from, f.Proto, f.Dst)
}

// FirstLocalPort is the first of those that the kernel gives to connections by default
// (net.ipv4.ip_local_port_range).
const FirstLocalPort = 32768
