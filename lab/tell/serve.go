package tell

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"viplab/lab/topo"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/packet/story"
	"viplab/workload"
)

// Serve starts servers for those endpoints of a Snapshot that listen elsewhere than the
// stage's own servers. The error is a [modes.MissingError] where the kernel has no SCTP
// and the Snapshot does.
func (t *Teller) Serve(s modes.Snapshot) (stop func(), err error) {
	on := trial.Listens(s, t.Synth.Family)
	first, last := t.Synth.TargetPort(), t.Synth.TargetPort()+uint16(t.Synth.Ports)-1
	on.TCP = slices.DeleteFunc(on.TCP, func(p uint16) bool { return p >= first && p <= last })
	on.UDP = slices.DeleteFunc(on.UDP, func(p uint16) bool { return p == first })
	if len(on.TCP)+len(on.UDP)+len(on.SCTP) == 0 {
		return func() {}, nil
	}
	err = t.Net.Backend.Do(func() error {
		server, err := workload.Serve(on)
		if err == nil {
			stop = server.Close
		}
		return err
	})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		err = &modes.MissingError{Need: "SCTP in the kernel", Mend: "sudo modprobe sctp, or testbed uml", Err: err}
	}
	return stop, err
}

// CheckFit says in one sentence which endpoint of a book's Services the lab's network
// cannot have, nil if it can have all. VIPs may be anywhere: what is not a Service's goes
// the default way.
func CheckFit(b story.Book) error {
	for _, svc := range b.Snapshot.Services {
		at := topo.Of(svc.Family())
		links := []netip.Prefix{at.Client.Masked(), at.Node.Masked()}
		taken := func(a netip.Addr) bool {
			return slices.ContainsFunc(links, func(p netip.Prefix) bool { return p.Contains(a) })
		}
		for _, ep := range svc.Endpoints {
			if !at.Endpoints.Contains(ep.Addr) || taken(ep.Addr) {
				return fmt.Errorf("%s: service %s: with real packets endpoints are in %s, outside of %s and %s, not at %s: the tracer alone (without --testbed) takes any address",
					b.Name, svc.Name, at.Endpoints, links[0], links[1], ep.Addr)
			}
		}
	}
	return nil
}
