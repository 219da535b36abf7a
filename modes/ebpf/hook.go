package ebpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	bpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// hook is a place where a program runs, by name of the program.
type hook struct {
	program string
	// update makes it run another program, without a moment in between; close takes it
	// away.
	update func(*bpf.Program) error
	close  func() error
}

// linksOf are the links of this thread's node on which packets are translated, by index,
// each with the address that masqueraded packets get there: all but loopback that are like
// Ethernet; the programs know no other link headers.
func linksOf(f modes.Family) (map[uint32]netip.Addr, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the node's links: %w", err)
	}
	out := map[uint32]netip.Addr{}
	for _, l := range links {
		attrs := l.Attrs()
		if attrs.EncapType != "ether" || attrs.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := netlink.AddrList(l, f.Domain())
		if err != nil {
			return nil, fmt.Errorf("list the addresses of %s: %w", attrs.Name, err)
		}
		out[uint32(attrs.Index)] = netip.Addr{}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok && !ip.Unmap().IsLinkLocalUnicast() {
				out[uint32(attrs.Index)] = ip.Unmap()
				break
			}
		}
	}
	return addressed(out), nil
}

// addressed gives links without an address another one's; where there is none, nothing of
// the family can come.
func addressed(links map[uint32]netip.Addr) map[uint32]netip.Addr {
	var least netip.Addr
	for _, a := range links {
		if a.IsValid() && (!least.IsValid() || a.Less(least)) {
			least = a
		}
	}
	for index, a := range links {
		if !a.IsValid() && least.IsValid() {
			links[index] = least
		} else if !a.IsValid() {
			delete(links, index)
		}
	}
	return links
}

// atLinks lets the programs of a collection see the packets of some links: by TCX where
// the kernel has it (6.6 and later), else by filters of the clsact queueing discipline.
func atLinks(coll *bpf.Collection, links map[uint32]netip.Addr, f modes.Family) ([]hook, error) {
	var out []hook
	for index := range links {
		hooks, err := byTCX(coll, int(index))
		if errors.Is(err, bpf.ErrNotSupported) {
			hooks, err = byFilter(coll, int(index), f)
		}
		out = append(out, hooks...)
		if err != nil {
			return out, explain(fmt.Sprintf("attach BPF programs to link %d", index), err)
		}
	}
	return out, nil
}

func byTCX(coll *bpf.Collection, index int) (out []hook, err error) {
	for program, at := range map[string]bpf.AttachType{fromLink: bpf.AttachTCXIngress, toLink: bpf.AttachTCXEgress} {
		l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: coll.Programs[program], Attach: at})
		if err != nil {
			return out, err
		}
		out = append(out, hook{program, l.Update, l.Close})
	}
	return out, nil
}

// filterHandle tells our filters from others of the same priority.
const filterHandle = 1

// byFilter uses clsact. The families are filters of their own, with priorities that keep
// them apart.
func byFilter(coll *bpf.Collection, index int, f modes.Family) (out []hook, err error) {
	protocol, priority := uint16(unix.ETH_P_IP), uint16(4)
	if f == modes.IPv6 {
		protocol, priority = unix.ETH_P_IPV6, 6
	}
	qdisc := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	switch err := netlink.QdiscAdd(qdisc); {
	case err == nil:
		// The last to be closed.
		defer func() {
			out = append(out, hook{close: func() error { return netlink.QdiscDel(qdisc) }})
		}()
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP):
		return nil, &modes.MissingError{Need: "TCX or the clsact queueing discipline in this kernel (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)", Mend: "use --attach socket", Err: err}
	case !errors.Is(err, unix.EEXIST):
		return nil, err
	}
	for program, parent := range map[string]uint32{fromLink: netlink.HANDLE_MIN_INGRESS, toLink: netlink.HANDLE_MIN_EGRESS} {
		filter := &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: parent, Handle: filterHandle, Protocol: protocol, Priority: priority,
		}, Name: "viplab " + program, DirectAction: true}
		set := func(p *bpf.Program) error {
			filter.Fd = p.FD()
			return netlink.FilterReplace(filter)
		}
		if err := set(coll.Programs[program]); err != nil {
			return out, err
		}
		out = append(out, hook{program, set, func() error { return netlink.FilterDel(filter) }})
	}
	return out, nil
}

// atSockets lets the programs of a collection see what the processes of a control group
// dial.
func atSockets(coll *bpf.Collection, path string, f modes.Family) (out []hook, err error) {
	for program, at := range socketCalls(f) {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: path, Attach: at, Program: coll.Programs[program]})
		if err != nil {
			return out, explain("attach BPF programs to a control group", err)
		}
		out = append(out, hook{program, l.Update, l.Close})
	}
	return out, nil
}

// closeAll takes hooks away, in the order in which they were made.
func closeAll(hooks []hook) error {
	var errs []error
	for _, h := range hooks {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}
