package kernel_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/moby/ipvs"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"viplab/lab/kernel"
	"viplab/lab/testbed"
)

// roleAbilities is this program inside the guest.
const roleAbilities = "test-abilities"

func TestMain(m *testing.M) {
	testbed.Dispatch(map[string]testbed.Role{roleAbilities: func([]string) error { return abilities() }})
	os.Exit(m.Run())
}

// TestBoot boots every built kernel that was made of the fragment of today, and
// finds in each what the fragment promises, by using it.
func TestBoot(t *testing.T) {
	all, err := kernel.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Skip("SKIPPED: the abilities of built kernels: there is none; to mend: viplab kernel build")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		t.Run(k.Name, func(t *testing.T) {
			if !k.Current() {
				t.Skipf("SKIPPED: the abilities of kernel %s: it was built with another configuration; to mend: viplab kernel build --force %s", k.Name, k.Name)
			}
			start := time.Now()
			var out, errs bytes.Buffer
			code, err := testbed.WithKernel(k).Run(t.Context(), testbed.Command{Args: []string{self, roleAbilities}, Stdout: &out, Stderr: &errs})
			if err != nil || code != 0 {
				t.Errorf("exit %d, %v\n%s%s", code, err, out.String(), errs.String())
			}
			t.Logf("kernel %s, %s:\n%s", k.Version, time.Since(start).Round(time.Millisecond), out.String())
		})
	}
}

// ability is one thing that a kernel must be able to do.
type ability struct {
	name string
	try  func() error
}

// abilities tries all that the modes need and says which of it works.
func abilities() error {
	var failed []error
	for _, a := range []ability{
		{"links veth, dummy, tunl0", links}, {"sockets of SCTP", sctp}, {"lists of sockets", sockets}, {"IPVS with all schedulers", servers}, {"sets", sets},
		{"iptables-legacy, IPv4", func() error { return rules("iptables-legacy-restore", "127.0.0.1", "icmp-port-unreachable") }},
		{"iptables-legacy, IPv6", func() error { return rules("ip6tables-legacy-restore", "::1", "icmp6-port-unreachable") }},
		{"nf_tables ip, ip6, inet", tables}, {"list of connections", connections}, {"counters of nfacct", counters},
		{"BPF at a cgroup", cgroupProgram}, {"BPF at a link, tc and tcx", linkPrograms}, {"memory in slabs", slabs},
	} {
		err := a.try()
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", a.name, err))
			continue
		}
		fmt.Println("  has", a.name)
	}
	return errors.Join(failed...)
}

func links() error {
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "veth-a"}, PeerName: "veth-b"}
	tunnel := &netlink.Iptun{LinkAttrs: netlink.LinkAttrs{Name: "tunnel"}, Local: net.IPv4(127, 0, 0, 1), Remote: net.IPv4(127, 0, 0, 2)}
	for _, l := range []netlink.Link{veth, &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "dummy-a"}}, tunnel} {
		if err := netlink.LinkAdd(l); err != nil {
			return fmt.Errorf("add %s: %w", l.Type(), err)
		}
	}
	return nil
}

func sctp() error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

func sockets() error {
	_, err := netlink.SocketDiagTCP(unix.AF_INET)
	_, uerr := netlink.SocketDiagUDP(unix.AF_INET6)
	return errors.Join(err, uerr)
}

// servers adds a virtual server for each scheduler.
func servers() error {
	h, err := ipvs.New("")
	if err != nil {
		return err
	}
	defer h.Close()
	var failed []error
	for i, scheduler := range strings.Fields("rr wrr lc wlc fo ovf lblc lblcr dh sh mh sed nq twos") {
		for _, ip := range []string{"10.96.0.1", "fd00::1"} {
			s := &ipvs.Service{Protocol: unix.IPPROTO_TCP, Port: uint16(i + 1), SchedName: scheduler}
			s.Address, s.AddressFamily, s.Netmask = net.ParseIP(ip), unix.AF_INET6, 128
			if v4 := s.Address.To4(); v4 != nil {
				s.Address, s.AddressFamily, s.Netmask = v4, unix.AF_INET, 0xffffffff
			}
			if err := h.NewService(s); err != nil {
				failed = append(failed, fmt.Errorf("scheduler %s at %s: %w", scheduler, ip, err))
			}
		}
	}
	return errors.Join(failed...)
}

func sets() error {
	var failed []error
	for i, kind := range []string{"hash:ip,port", "hash:ip,port,ip", "hash:ip,port,net", "bitmap:port", "hash:ip"} {
		o := netlink.IpsetCreateOptions{}
		if kind == "bitmap:port" {
			o.PortTo = 65535
		}
		if err := netlink.IpsetCreate(fmt.Sprintf("SET-%d", i), kind, o); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", kind, err))
		}
	}
	return errors.Join(failed...)
}

// rules loads a rule for every match and target that the modes and kube-proxy use.
func rules(tool, ip, reject string) error {
	text := strings.NewReplacer("IP", ip, "REJECTION", reject).Replace(`*nat
:A - [0:0]
:B - [0:0]
-A A -p tcp -m tcp --dport 80 -m comment --comment words -j B
-A A -p udp -m udp --dport 80 -j DNAT --to-destination IP
-A A -p sctp -m sctp --dport 80 -j DNAT --to-destination IP
-A A -p tcp -j REDIRECT --to-ports 8080
-A A -m addrtype --dst-type LOCAL -j B
-A A -m statistic --mode random --probability 0.5 -j B
-A A -m recent --name x --rcheck --seconds 10 --reap -j B
-A A -m recent --name x --set -j B
-A A -m physdev ! --physdev-is-in -j ACCEPT
-A A -m mark ! --mark 0x4000/0x4000 -j RETURN
-A A -j MARK --set-xmark 0x4000/0x4000
-A POSTROUTING -j MASQUERADE --random-fully
COMMIT
*filter
:A - [0:0]
-A A -m conntrack --ctstate NEW -j ACCEPT
-A A -m ipvs --vaddr IP -j RETURN
-A A -j REJECT --reject-with REJECTION
COMMIT
*mangle
:KUBE-PROXY-CANARY - [0:0]
COMMIT
`)
	if !strings.Contains(ip, ":") {
		text = strings.Replace(text, "COMMIT", "-A A -m set --match-set SET-0 dst,dst -j ACCEPT\nCOMMIT", 1)
	}
	cmd := exec.Command(tool)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// tables loads what the nftables mode of kube-proxy has: maps of verdicts, NAT,
// sets that time out, and the expressions in its rules.
func tables() error {
	if _, err := exec.LookPath("nft"); err != nil {
		fmt.Println("  SKIPPED: nf_tables: nft is not installed")
		return nil
	}
	var text strings.Builder
	for family, addr := range map[string]struct{ match, kind, one, net string }{
		"ip": {"ip", "ipv4_addr", "10.0.0.1", "10.0.0.0/8"}, "ip6": {"ip6", "ipv6_addr", "fd00::1", "fd00::/8"}, "inet": {"ip", "ipv4_addr", "10.0.0.1", "10.0.0.0/8"},
	} {
		dnat := "dnat to"
		if family == "inet" {
			dnat = "dnat ip to"
		}
		text.WriteString(strings.NewReplacer("FAMILY", family, "IP", addr.match, "KIND", addr.kind, "ONE", addr.one, "NET", addr.net, "DNAT", dnat).Replace(`
table FAMILY t {
	set clients { type KIND; flags dynamic,timeout; timeout 10s; }
	map services { type KIND . inet_proto . inet_service : verdict; }
	chain one { numgen random mod 2 vmap { 0 : goto two, 1 : goto two }; }
	chain two {
		update @clients { IP saddr }
		meta l4proto tcp DNAT ONE
	}
	chain hashed { jhash IP saddr mod 2 vmap { 0 : goto two, 1 : goto two }; }
	chain pre {
		type nat hook prerouting priority -100
		IP daddr . meta l4proto . th dport vmap @services
		fib daddr type local IP daddr != NET goto one
	}
	chain post {
		type nat hook postrouting priority 100
		ct status dnat mark and 0x4000 == 0x4000 masquerade fully-random
	}
	chain in {
		type filter hook input priority 0
		ct state new IP daddr NET reject
	}
}
`))
	}
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func connections() error {
	_, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
	return err
}

// counters lists those that rules of kube-proxy count in: message NFNL_MSG_ACCT_GET
// of subsystem NFNL_SUBSYS_ACCT.
func counters() error {
	req := nl.NewNetlinkRequest(7<<8|1, unix.NLM_F_DUMP)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	_, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	return err
}

// program is one that lets everything pass.
func program(of ebpf.ProgramType, at ebpf.AttachType) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{Type: of, AttachType: at, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}})
}

// cgroupProgram attaches to cgroup v2, and makes the maps that a load balancer has.
func cgroupProgram() error {
	const at = "/run/cgroup"
	if err := errors.Join(os.Mkdir(at, 0o755), unix.Mount("cgroup2", at, "cgroup2", 0, "")); err != nil {
		return err
	}
	for _, kind := range []ebpf.MapType{ebpf.Hash, ebpf.Array, ebpf.LRUHash} {
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: 8, MaxEntries: 65536})
		if err != nil {
			return fmt.Errorf("map %s: %w", kind, err)
		}
		defer m.Close()
		if _, err := m.BatchUpdate([]uint32{1, 2}, []uint64{1, 2}, nil); err != nil {
			return fmt.Errorf("map %s in a batch: %w", kind, err)
		}
	}
	for _, hook := range []ebpf.AttachType{ebpf.AttachCGroupInet4Connect, ebpf.AttachCGroupInet6Connect, ebpf.AttachCGroupUDP4Sendmsg, ebpf.AttachCgroupInet4GetPeername} {
		p, err := program(ebpf.CGroupSockAddr, hook)
		if err != nil {
			return err
		}
		defer p.Close()
		l, err := link.AttachCgroup(link.CgroupOptions{Path: at, Attach: hook, Program: p})
		if err != nil {
			return fmt.Errorf("attach %s: %w", hook, err)
		}
		defer l.Close()
	}
	return nil
}

// linkPrograms attaches by a filter of clsact, and by tcx where the kernel has it
// (from 6.6).
func linkPrograms() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	p, err := program(ebpf.SchedCLS, ebpf.AttachTCXIngress)
	if err != nil {
		return err
	}
	defer p.Close()
	attrs := netlink.QdiscAttrs{LinkIndex: lo.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}
	if err := netlink.QdiscAdd(&netlink.GenericQdisc{QdiscAttrs: attrs, QdiscType: "clsact"}); err != nil {
		return fmt.Errorf("add clsact: %w", err)
	}
	filter := &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{LinkIndex: lo.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Protocol: unix.ETH_P_ALL}, Fd: p.FD(), DirectAction: true}
	if err := netlink.FilterAdd(filter); err != nil {
		return fmt.Errorf("add a filter: %w", err)
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: lo.Attrs().Index, Program: p, Attach: ebpf.AttachTCXIngress})
	if errors.Is(err, ebpf.ErrNotSupported) {
		fmt.Println("  (no tcx)")
		return nil
	}
	if err != nil {
		return fmt.Errorf("attach tcx: %w", err)
	}
	return l.Close()
}

func slabs() error {
	_, err := os.ReadFile("/proc/slabinfo")
	return err
}
