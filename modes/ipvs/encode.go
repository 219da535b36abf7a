package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// Numbers of the kernel's interfaces that no library of ours exports:
// include/uapi/linux/ip_vs.h and linux/netfilter/ipset/ip_set.h.
const (
	ipvsNewService, ipvsSetService, ipvsDelService = 1, 2, 3
	ipvsNewDest, ipvsSetDest, ipvsDelDest          = 5, 6, 7

	ipvsAttrService, ipvsAttrDest = 1, 2

	svcFamily, svcProtocol, svcAddr, svcPort, svcSched, svcFlags, svcTimeout, svcNetmask = 1, 2, 3, 4, 6, 7, 8, 9

	destAddr, destPort, destForward, destWeight, destUpper, destLower = 1, 2, 3, 4, 5, 6

	ipsetAdd, ipsetDel = 9, 10

	ipsetAttrProtocol, ipsetAttrName, ipsetAttrData          = 1, 2, 7
	ipsetAttrIP, ipsetAttrPort, ipsetAttrProto, ipsetAttrIP2 = 1, 4, 7, 20
	ipsetAttrCIDR2                                           = 21
	ipsetAttrIPv4, ipsetAttrIPv6                             = 1, 2
	ipsetProtocolVersion                                     = 6
	nfnlSubsysIPSet                                          = 6
)

// Writer commits operations to the kernel, many in one message. It belongs to
// the network namespace of the thread that made it.
type Writer struct {
	Options
	route, ipset, ipvs *batch
	genl               uint16     // generic netlink family of IPVS
	bound              []uint32   // indexes of the devices that hold VIPs
	added              netip.Addr // the last address of IPv6 since the last Flush
}

// Do takes one operation. It may be committed now or at the next Flush.
func (e *Writer) Do(o Op) error {
	switch o.Kind {
	case AddAddress, DelAddress:
		return e.address(o)
	case AddServer, SetServer, DelServer, AddReal, SetReal, DelReal:
		return e.server(o)
	default:
		return e.entry(o)
	}
}

// Flush commits what is buffered on all sockets, in the order in which packets
// meet the objects last.
func (e *Writer) Flush() error {
	if err := flushAll(e.route, e.ipvs, e.ipset); err != nil || !e.added.IsValid() {
		return err
	}
	last := e.added
	e.added = netip.Addr{}
	return settle(last)
}

// NewWriter opens the sockets. The devices must exist if addresses are to be
// written, the sets if entries are.
func NewWriter(o Options) (*Writer, error) {
	family, err := netlink.GenlFamilyGet("IPVS")
	if err != nil {
		return nil, fmt.Errorf("find the IPVS netlink family: %w", err)
	}
	e := &Writer{Options: o, genl: family.ID}
	if e.bound, err = o.devices(); err != nil {
		return nil, err
	}
	for protocol, b := range map[int]**batch{unix.NETLINK_ROUTE: &e.route, unix.NETLINK_NETFILTER: &e.ipset, unix.NETLINK_GENERIC: &e.ipvs} {
		if *b, err = newBatch(protocol); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}

// Close closes the sockets.
func (e *Writer) Close() error {
	var errs []error
	for _, b := range []*batch{e.route, e.ipset, e.ipvs} {
		if b != nil {
			errs = append(errs, b.close())
		}
	}
	return errors.Join(errs...)
}

func (e *Writer) address(o Op) error {
	typ, flags := uint16(unix.RTM_NEWADDR), uint16(unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	if o.Kind == DelAddress {
		typ, flags = unix.RTM_DELADDR, 0
	}
	if len(e.bound) == 0 {
		return fmt.Errorf("bind %s: there is no device %s", o.VIP.Addr(), Device)
	}
	ip := o.VIP.Addr().AsSlice()
	// A VIP's device follows from the VIP alone, so that it is found again.
	device := e.bound[crc32.ChecksumIEEE(ip)%uint32(len(e.bound))]
	if e.byRoute() {
		return e.localRoute(o, ip, device)
	}
	switch {
	case o.Kind == AddAddress && o.VIP.Addr().Is6():
		e.added = o.VIP.Addr()
	case o.VIP.Addr() == e.added:
		e.added = netip.Addr{}
	}
	// IFA_F_NODAD: an address of IPv6 is not to wait for others to object.
	header := binary.NativeEndian.AppendUint32([]byte{byte(e.Family.Domain()), byte(8 * len(ip)), unix.IFA_F_NODAD, 0}, device)
	e.route.begin(o, typ, flags, header...)
	e.route.attr(unix.IFA_LOCAL, ip...)
	e.route.attr(unix.IFA_ADDRESS, ip...)
	if e.Bind == BindAlias && o.Kind == AddAddress && o.VIP.Addr().Is6() {
		// An alias is not to be what the node sends from, or masquerades by, which IPv6
		// leaves to the device's addresses that are not deprecated (RFC 6724): preferred
		// for 0 s, valid for ever, as struct ifa_cacheinfo has them.
		lifetimes := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 0), math.MaxUint32)
		e.route.attr(unix.IFA_CACHEINFO, append(lifetimes, make([]byte, 8)...)...)
	}
	return e.route.end()
}

// routeMetric is that of a VIP's route, which in IPv6 is the kernel's own choice. In IPv4 the
// routes of addresses have 0, and a route like another one with the same metric is refused:
// a VIP may be local already by an address of which the mode was not told.
const routeMetric = 1024

// localRoute makes a VIP local by a route alone.
func (e *Writer) localRoute(o Op, ip []byte, device uint32) error {
	typ, flags, protocol := uint16(unix.RTM_NEWROUTE), uint16(unix.NLM_F_CREATE|unix.NLM_F_EXCL), byte(unix.RTPROT_KERNEL)
	if o.Kind == DelAddress {
		typ, flags, protocol = unix.RTM_DELROUTE, 0, unix.RTPROT_UNSPEC // whoever has made it
	}
	// struct rtmsg: family, destination and source length, TOS, table,
	// protocol, scope, type, flags.
	e.route.begin(o, typ, flags, byte(e.Family.Domain()), byte(8*len(ip)), 0, 0, unix.RT_TABLE_LOCAL, protocol, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0)
	e.route.attr(unix.RTA_DST, ip...)
	e.route.attr32(unix.RTA_OIF, device)
	if o.Kind == AddAddress {
		e.route.attr32(unix.RTA_PRIORITY, routeMetric)
	}
	return e.route.end()
}

func (e *Writer) server(o Op) error {
	cmd := byte(ipvsNewService)
	switch o.Kind {
	case SetServer:
		cmd = ipvsSetService
	case DelServer:
		cmd = ipvsDelService
	case AddReal:
		cmd = ipvsNewDest
	case SetReal:
		cmd = ipvsSetDest
	case DelReal:
		cmd = ipvsDelDest
	}
	b := e.ipvs
	b.begin(o, e.genl, 0, cmd, 1, 0, 0)
	b.open(ipvsAttrService)
	b.attr(svcFamily, native16(uint16(e.Family.Domain()))...)
	b.attr(svcProtocol, native16(uint16(o.Proto.Number()))...)
	b.addrPort(svcAddr, svcPort, o.VIP)
	scheduler, flags := e.scheduling()
	b.attrString(svcSched, scheduler)
	if o.Persist > 0 {
		flags |= flagPersistent
	}
	// struct ip_vs_flags: the flags, and which of them are given: all.
	b.attr(svcFlags, binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, flags), math.MaxUint32)...)
	b.attr32(svcTimeout, o.Persist)
	b.attr32(svcNetmask, e.netmask())
	b.shut()
	if o.Real.IsValid() {
		b.open(ipvsAttrDest)
		b.addrPort(destAddr, destPort, o.Real)
		b.attr32(destForward, e.forwardFlag())
		b.attr32(destWeight, uint32(o.Weight))
		b.attr32(destUpper, 0)
		b.attr32(destLower, 0)
		b.shut()
	}
	return b.end()
}

// netmask has persistence go by whole addresses: a mask, or a prefix length for IPv6.
func (o Options) netmask() uint32 {
	if o.Family == modes.IPv6 {
		return 128
	}
	return math.MaxUint32
}

func (e *Writer) entry(o Op) error {
	cmd, flags := uint16(ipsetAdd), uint16(unix.NLM_F_EXCL)
	if o.Kind == DelEntry {
		cmd = ipsetDel
	}
	at := o.VIP
	b := e.ipset
	b.begin(o, nfnlSubsysIPSet<<8|cmd, flags, byte(e.Family.Domain()), 0, 0, 0)
	b.attr(ipsetAttrProtocol, ipsetProtocolVersion)
	b.attrString(ipsetAttrName, e.setName(o.Set))
	b.open(ipsetAttrData)
	kind := o.Set.kind()
	if kind != bitmapPort {
		b.ipsetAddr(ipsetAttrIP, at.Addr())
	}
	if kind != hashIP {
		b.attr(ipsetAttrPort|unix.NLA_F_NET_BYTEORDER, binary.BigEndian.AppendUint16(nil, at.Port())...)
	}
	if kind != bitmapPort && kind != hashIP {
		b.attr(ipsetAttrProto, o.Proto.Number())
	}
	switch kind {
	case hashIPPortIP:
		b.ipsetAddr(ipsetAttrIP2, at.Addr())
	case hashIPPortNet:
		b.ipsetAddr(ipsetAttrIP2, o.Source.Addr())
		b.attr(ipsetAttrCIDR2, byte(o.Source.Bits()))
	}
	b.shut()
	return b.end()
}

func (b *batch) addrPort(addr, port uint16, ap netip.AddrPort) {
	b.attr(addr, ap.Addr().AsSlice()...)
	b.attr(port, binary.BigEndian.AppendUint16(nil, ap.Port())...)
}

func (b *batch) ipsetAddr(typ uint16, a netip.Addr) {
	family := uint16(ipsetAttrIPv4)
	if a.Is6() {
		family = ipsetAttrIPv6
	}
	b.open(typ)
	b.attr(family|unix.NLA_F_NET_BYTEORDER, a.AsSlice()...)
	b.shut()
}

func native16(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }

func (e *Writer) sent() int { return e.route.bytes + e.ipset.bytes + e.ipvs.bytes }

// committing is how long the kernel has been at work since the last call.
func (e *Writer) committing() (d time.Duration) {
	for _, b := range []*batch{e.route, e.ipset, e.ipvs} {
		d += b.took
		b.took = 0
	}
	return d
}
