package ebpf

import (
	"fmt"

	bpf "github.com/cilium/ebpf"

	"viplab/modes"
)

// Both families are compiled from the same source.
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip -no-global-types -target bpfel,bpfeb lb4 bpf/lb.c -- -O2 -Wall -Werror -mcpu=v3
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip -no-global-types -target bpfel,bpfeb lb6 bpf/lb.c -- -O2 -Wall -Werror -mcpu=v3 -DIPV6

// spec is what was compiled for a family.
func spec(f modes.Family) (*bpf.CollectionSpec, error) {
	load := loadLb4
	if f == modes.IPv6 {
		load = loadLb6
	}
	s, err := load()
	if err != nil {
		return nil, fmt.Errorf("read the compiled programs of %s: %w", f, err)
	}
	return s, nil
}

// Names of the programs in the objects, and of the hooks that they are for.
const (
	fromLink = "from_link"
	toLink   = "to_link"
)

// socketCalls are the socket programs with the hooks that they are for.
func socketCalls(f modes.Family) map[string]bpf.AttachType {
	if f == modes.IPv6 {
		return map[string]bpf.AttachType{
			"connect": bpf.AttachCGroupInet6Connect, "sendmsg": bpf.AttachCGroupUDP6Sendmsg,
			"recvmsg": bpf.AttachCGroupUDP6Recvmsg, "getpeername": bpf.AttachCgroupInet6GetPeername,
		}
	}
	return map[string]bpf.AttachType{
		"connect": bpf.AttachCGroupInet4Connect, "sendmsg": bpf.AttachCGroupUDP4Sendmsg,
		"recvmsg": bpf.AttachCGroupUDP4Recvmsg, "getpeername": bpf.AttachCgroupInet4GetPeername,
	}
}
