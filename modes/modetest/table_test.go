package modetest

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/packet"
	"viplab/modes/packet/rules"
	"viplab/modes/snapshot/synth"
)

// TestTableSize: the bytes that tables are said to take are those that the kernel says, in
// both families.
func TestTableSize(t *testing.T) {
	for _, family := range modes.Dual.Parts() {
		t.Run(string(family), func(t *testing.T) {
			b := NewRig(t, iptables.Mode(), nil, synth.Spec{Services: 5, Endpoints: 2, Ports: 1, Seed: 1, Family: family, Affinity: time.Hour})
			b.Program(b.Snapshot)
			program := iptables.Mode().Program(nil, b.Snapshot, topo.Of(family).Node.Addr()).(packet.Program)
			got, want := 0, program.Rules.Blob()
			for _, table := range program.Rules.Tables {
				want += ends(family, table.Name)
				if err := b.Net.Node.Do(func() error {
					size, err := tableSize(family, table.Name)
					got += size
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
			if got != want {
				t.Errorf("the tables take %d bytes, and are said to take %d", got, want)
			}
		})
	}
}

// ends is what a table takes without rules: a policy for each hook, and an entry that ends it.
func ends(f modes.Family, table string) int {
	hooks := map[string]int{"filter": 3, "nat": 4, "mangle": 5}[table]
	named := rules.ChainBlob(f) // an entry that names a chain is like the last one of a table
	none := rules.Rule{Target: rules.Accept}
	return hooks*none.Blob(f) + named - none.Blob(f)
}

// tableSize asks the kernel for a table's bytes (struct ipt_getinfo and ip6t_getinfo of
// include/uapi/linux/netfilter_ipv4/ip_tables.h and netfilter_ipv6/ip6_tables.h, whose numbers
// are the same).
func tableSize(f modes.Family, table string) (int, error) {
	const getInfo, size = 64, 32 + 4 + 5*4 + 5*4 + 4 + 4
	level := map[modes.Family]int{modes.IPv4: unix.IPPROTO_IP, modes.IPv6: unix.IPPROTO_IPV6}[f]
	fd, err := unix.Socket(f.Domain(), unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	info, n := [size]byte{}, uint32(size)
	copy(info[:], table)
	if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), getInfo,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&n)), 0); errno != 0 {
		return 0, fmt.Errorf("ask for table %s: %w", table, errno)
	}
	return int(binary.NativeEndian.Uint32(info[size-4:])), nil
}
