package ipvs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplab/modes"
	self "viplab/modes/packet/node"
)

// Device is the dummy device that VIPs are bound to, the first one if there are several; see
// [Options.Devices].
const Device = "kube-ipvs0"

// devicePrefix is what the names of the dummy devices of both families begin with.
const devicePrefix = "kube-ip"

// addressesPerDevice is how many VIPs a dummy device is meant for by [BindAddress]. The
// kernel walks all addresses of a device when one is added or deleted: with all VIPs on
// one device, as kube-proxy has it, a full sync is quadratic in part. At 20000
// Services it took 2.2 s with one device and 1.2 s with twenty, in the guest.
const addressesPerDevice = 1024

// Devices is how many dummy devices a Snapshot of n Services gets: kube-ipvs0,
// kube-ipvs1 and so on. With routes it is one, and with addresses up to 1023 Services.
func (o Options) Devices(n int) int {
	if o.Bind != BindAddress {
		return 1
	}
	return 1 + n/addressesPerDevice
}

// deviceName is the name of the i-th dummy device. kube-proxy has one for both
// families.
func (o Options) deviceName(i int) string {
	if o.Family == modes.IPv6 {
		return fmt.Sprintf("kube-ip6vs%d", i)
	}
	return fmt.Sprintf("kube-ipvs%d", i)
}

// addDevice makes a dummy device, if it is not there.
func (o Options) addDevice(name string) error {
	dummy := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := netlink.LinkAdd(dummy); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add device %s: %w", name, err)
	}
	// Routes and addresses of IPv6 need a device that is up; addresses of IPv4 do
	// not.
	if !o.byRoute() && o.Family != modes.IPv6 {
		return nil
	}
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("set device %s up: %w", name, err)
	}
	return nil
}

// devices are the indexes of the dummy devices that are there, in order; for
// [BindAlias] that of the device by which the default route leaves.
func (o Options) devices() ([]uint32, error) {
	if o.Bind == BindAlias {
		link, _ := self.Uplink(o.Family)
		if link == 0 {
			return nil, errors.New("the node has no default route, by whose device VIPs could be aliases")
		}
		return []uint32{uint32(link)}, nil
	}
	var out []uint32
	for {
		link, err := netlink.LinkByName(o.deviceName(len(out)))
		if err != nil {
			return out, nil
		}
		out = append(out, uint32(link.Attrs().Index))
	}
}

// deleteDevices removes the dummy devices, and the addresses with them.
func (o Options) deleteDevices() (errs []error) {
	for i := 0; ; i++ {
		link, err := netlink.LinkByName(o.deviceName(i))
		if err != nil {
			return errs
		}
		if err := netlink.LinkDel(link); err != nil {
			errs = append(errs, fmt.Errorf("delete device %s: %w", o.deviceName(i), err))
		}
	}
}

// ours tells whether a device is one of the mode's, of either family.
func ours(name string) bool { return strings.HasPrefix(name, devicePrefix) }
