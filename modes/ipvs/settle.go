package ipvs

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// settleLimit is how long the kernel may take to route an address of IPv6 that it has
// accepted: it has to wait for a worker, which takes microseconds on an idle CPU.
const settleLimit = 2 * time.Second

// settle waits until an address of IPv6 is the node's own for packets. The kernel takes the
// address at once but leaves its local route to a worker (addrconf_dad_work in
// net/ipv6/addrconf.c). What came in before that would be forwarded, past IPVS, and conntrack
// would hold to it for the packets after it, too. Workers take addresses in turn, so the
// last one stands for all.
func settle(a netip.Addr) error {
	for start := time.Now(); ; time.Sleep(100 * time.Microsecond) {
		routes, err := netlink.RouteGet(a.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		if time.Since(start) > settleLimit {
			return fmt.Errorf("wait for the local route of %s: none within %s (%v)", a, settleLimit, err)
		}
	}
}
