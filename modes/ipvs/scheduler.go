package ipvs

import (
	"cmp"
	"strings"

	mobyipvs "github.com/moby/ipvs"
)

// Flags of a virtual server: include/uapi/linux/ip_vs.h. The last two mean what the
// scheduler makes of them: for sh and mh, that a client goes to another real server where
// its own has weight 0, and that its port counts beside its address.
const (
	flagPersistent uint32 = 0x01
	flagHashed     uint32 = 0x02 // set by the kernel
	flagFallback   uint32 = 0x08
	flagPort       uint32 = 0x10
)

// Schedulers lists the kernel's with their options, the default first. Where all weights
// are one, as by default, the weighted ones choose like those without weights.
//
// A suffix to sh and mh is an option of theirs, for which ipvsadm has -b: with -port a
// client's port counts beside its address, with -fallback a client goes on to another
// real server where its own has weight 0. As in kube-proxy mh is with its port;
// mh-address is without.
func Schedulers() []string {
	return []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "sh-port", "sh-fallback", "dh", "sed", "nq",
		"mh", "mh-address", "mh-fallback", "fo", "ovf"}
}

// scheduling is the kernel's name of the scheduler, and the flags that a virtual server
// has for it.
func (o Options) scheduling() (name string, flags uint32) {
	name, option, _ := strings.Cut(cmp.Or(o.Scheduler, mobyipvs.RoundRobin), "-")
	if name == "mh" && option != "address" {
		flags = flagPort
	}
	switch option {
	case "port":
		flags |= flagPort
	case "fallback":
		flags |= flagFallback
	}
	return name, flags
}

// SchedulerArgs is the scheduler with its options as ipvsadm has them: "-s sh -b sh-port".
func (o Options) SchedulerArgs() string {
	name, flags := o.scheduling()
	return "-s " + name + schedulerFlags(name, flags)
}

// schedulerFlags is ipvsadm's option for a virtual server's flags, empty for none.
func schedulerFlags(name string, flags uint32) string {
	var list []string
	if flags&flagFallback != 0 {
		list = append(list, name+"-fallback")
	}
	if flags&flagPort != 0 {
		list = append(list, name+"-port")
	}
	if len(list) == 0 {
		return ""
	}
	return " -b " + strings.Join(list, ",")
}
