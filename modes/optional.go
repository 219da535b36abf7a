package modes

import (
	"context"
	"net/netip"
)

// The interfaces below are what some Proxiers can do beside [Proxier]. Who wants it
// asks by a type assertion.

// Refresher is a Proxier that can write everything again although nothing
// changed, as kube-proxy does (before 1.26 at every sync period, since then after
// errors and once an hour). It puts right what somebody else has changed of the mode's
// objects, and leaves others' alone.
type Refresher interface {
	Refresh(ctx context.Context) (Cost, error)
}

// Leaver is a Proxier that holds things outside the network namespace that it programs:
// processes, sockets, what is everybody's.
type Leaver interface {
	// Leave lets go of those alone. The rest goes with the namespace, which the caller takes
	// away: the kernel frees 160 000 rules in a moment, while a tool that is to remove them
	// reads them all first. The Proxier is of no use afterwards.
	Leave() error
}

// Leave lets a Proxier go whose network namespace is taken away, by the shortest way that
// it has.
func Leave(p Proxier) error {
	if l, ok := p.(Leaver); ok {
		return l.Leave()
	}
	return p.Close()
}

// ProcessReporter is a Proxier with a process of its own, on the packet path or to program
// it, whose CPU time and memory belong to the mode.
type ProcessReporter interface {
	// ProcessIDs are the ids of those that run: one for each address family.
	ProcessIDs() []int
}

// Stepwise is a Proxier that can write its objects by one call each. That takes long,
// so what is not to be timed is written in one go.
type Stepwise interface {
	// Steps tells whether the next Sync writes by one call each.
	Steps() bool
	// SetSteps says how the next Sync is to write.
	SetSteps(on bool)
}

// Appender is a Proxier that can put one object more on top of what is there, by the
// shortest way that its kernel interface has: a rule, a virtual server.
type Appender interface {
	// Append puts it there; undo takes it away again. No packet of the lab's meets it.
	Append(ctx context.Context) (undo func() error, err error)
}

// Drainer is a Proxier whose endpoints can be taken out of service behind its back, as
// an administrator would.
type Drainer interface {
	// Drain lets an endpoint keep the connections that it has and get no new ones.
	Drain(svc *Service, ep Endpoint) error
	// Evict removes it at once; Readmit puts it back.
	Evict(svc *Service, ep Endpoint) error
	Readmit(svc *Service, ep Endpoint) error
}

// ConnectionLister is a Proxier whose kernel tells which endpoint it gave a connection to.
type ConnectionLister interface {
	// Connections lists the endpoints of connections to a Service's first port, by the
	// client's address and port: those that are open, and that ended in the last ten seconds.
	Connections(svc *Service) (map[netip.AddrPort]netip.Addr, error)
}

// ServiceShower is a Proxier that can show what the kernel holds of one Service.
type ServiceShower interface {
	// ShowService gives lines for people; named says what an endpoint is.
	ShowService(svc *Service, named func(netip.Addr) string) ([]string, error)
}

// Setting is a switch of the kernel that decides what becomes of a mode's connections.
type Setting struct {
	// Name is that of the factor in records.
	Name string
	// Values lists what it can be set to.
	Values []string
}

// Tunable is a Proxier with Settings that matter to clients which use a local port
// again while the kernel still remembers its last flow.
type Tunable interface {
	// Settings lists them.
	Settings() []Setting
	// Set sets all of them, by name; nil sets what the mode itself does.
	Set(values map[string]string) error
}
