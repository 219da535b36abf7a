package trial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"time"

	"viplab/lab/topo"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/snapshot/given"
	"viplab/results"
	"viplab/workload"
)

// Stage is what measurements play on: the topology of one trial with a mode programmed
// in it, servers behind every endpoint, probers in front, and a record that leaves as it
// is written. A measurement leaves the Services as it found them.
type Stage struct {
	Spec
	// About is the mode, and Traits what its arguments mean.
	About  modes.Mode
	Traits modes.Traits
	// Machine is what Proxiers are made for.
	Machine modes.Machine
	// Rand is seeded by the trial.
	Rand *rand.Rand

	// Snapshot is what is programmed where no measurement is under way.
	Snapshot modes.Snapshot
	// Given is a user's own Services, nil where they are synthetic.
	Given *given.Set
	// Proxier, Net and Server are those of the set-up that stands, nil between two.
	Proxier modes.Proxier
	Net     *topo.Topology
	Server  *workload.Server
	// Prober starts in the client's namespace, InNode in the node's.
	Prober *workload.Prober
	InNode *workload.Prober

	out     *Emitter
	emitErr error
	fault   error // of a record that could not be taken
	drops0  uint64
	mark    string
	kernel0 workload.KernelMemory
	spent   map[string]time.Duration // of the trial so far, by step
	peak    workload.Peak            // of the lab's memory, since the trial began
	ends    bool                     // the kernel ends with the trial
}

// NewStage makes the Stage of a trial with synthetic Services, of a mode in a catalog.
// Nothing is set up yet.
func NewStage(known catalog.Catalog, spec Spec, proxyCommand []string, out *Emitter) (*Stage, error) {
	return newStage(known, spec, Job{ProxyCommand: proxyCommand}, out)
}

// newStage makes the Stage of a trial of a job.
func newStage(known catalog.Catalog, spec Spec, job Job, out *Emitter) (*Stage, error) {
	st := &Stage{Spec: spec, out: out, ends: job.Guest, Machine: modes.Machine{Family: spec.Synth.Family, ProxyCommand: job.ProxyCommand}}
	st.Rand = rand.New(rand.NewPCG(spec.Synth.Seed, uint64(spec.Round)))
	var err error
	if st.About, err = known.Find(spec.Mode); err != nil {
		return st, err
	}
	if err = st.About.CheckArgs(spec.Args, spec.Synth.Family); err != nil {
		return st, err
	}
	st.Traits = st.About.TraitsOf(spec.Args)
	var snap modes.Snapshot
	if spec.Input == nil {
		snap = spec.Synth.Snapshot()
	} else if job.Services == nil {
		return st, fmt.Errorf("the trial is of Services out of %s, which were not handed over", spec.Input.Name)
	} else if st.Given, err = spec.Input.Set(*job.Services, spec.Synth.Family); err != nil {
		return st, err
	} else {
		snap = st.Given.Snapshot
	}
	snap.Node.Addrs = topo.NodeAddrs()
	st.Snapshot, err = snap.Normal()
	return st, err
}

// Say puts further records in another place, for tests of measurements.
func (st *Stage) Say(out *Emitter) { st.out = out }

// NewProxier makes the mode's Proxier with the trial's arguments.
func (st *Stage) NewProxier() modes.Proxier { return st.About.Make(st.Args, st.Machine) }

// Serves tells whether there are Services, and changes of them to program.
func (st *Stage) Serves() bool { return !st.About.Baseline }

// Home is where clients start: the client's namespace, or the node's own where the mode
// serves nobody else. What is then measured at Home has the factor from.
func (st *Stage) Home() (*topo.Namespace, *workload.Prober) {
	if st.Traits.OnlyNode {
		return st.Net.Node, st.InNode
	}
	return st.Net.Client, st.Prober
}

// AtHome is the factors of a measurement whose clients are at Home, given those that it
// has anyhow.
func (st *Stage) AtHome(factors map[string]string) map[string]string {
	if !st.Traits.OnlyNode {
		return factors
	}
	out := map[string]string{results.From: string(modes.FromNode)}
	maps.Copy(out, factors)
	return out
}

// NodeServed tells whether Services answer the node itself.
func (st *Stage) NodeServed() bool { return !st.Traits.NodeUnserved }

// PartOf is the part of the mode that serves a Service.
func (st *Stage) PartOf(svc *modes.Service) modes.Proxier {
	return modes.PartFor(st.Proxier, svc.Family())
}

// Positions of Services in the order of the rules.
const (
	First, Middle, Last, Random = "first", "middle", "last", "random"
)

// Positions lists them in the order of reports.
func Positions() []string { return []string{First, Middle, Last, Random} }

// At picks a Service by position. UDP is served by some positions only.
func (st *Stage) At(position string, proto modes.Protocol) *modes.Service {
	pick, n := st.Service, st.Count()
	if proto != modes.TCP {
		all := st.overUDP()
		pick, n = func(i int) *modes.Service { return all[i] }, len(all)
	}
	switch position {
	case First:
		return pick(0)
	case Middle:
		return pick((n - 1) / 2)
	case Last:
		return pick(n - 1)
	}
	return pick(st.Rand.IntN(n))
}

// RandomTargets draws Services for a client that goes through many of them.
func (st *Stage) RandomTargets() []netip.AddrPort {
	targets := make([]netip.AddrPort, 512)
	for i := range targets {
		targets[i] = st.Target(st.At(Random, modes.TCP))
	}
	return targets
}

// BuildNet makes the topology alone, as the mode needs it.
func (st *Stage) BuildNet() (err error) {
	st.Step("topology")
	st.Net, err = topo.Build(topo.Options{Family: st.Synth.Family, DirectServerReturn: st.Traits.DirectServerReturn,
		Tunnel: st.Traits.Tunnel, SamePort: st.Synth.SamePort})
	return err
}

// SetUp makes the topology, the servers, the probers and a Proxier that has programmed
// nothing yet.
func (st *Stage) SetUp(ctx context.Context) (err error) {
	if err := st.BuildNet(); err != nil {
		return err
	}
	st.Prober, st.InNode = &workload.Prober{}, &workload.Prober{}
	err = st.Net.Backend.Do(func() (err error) {
		st.Server, err = workload.Serve(st.listens())
		return err
	})
	if err != nil {
		return err
	}
	st.Proxier = st.NewProxier()
	if err := st.Net.Node.Do(func() error { return st.Proxier.Probe(ctx) }); err != nil {
		return err
	}
	if err := st.policies(ctx); err != nil {
		return fmt.Errorf("policy rules: %w", err)
	}
	if st.drops0, err = st.conntrackDrops(); err != nil {
		return err
	}
	// What the probe has let go of is not to be taken for the mode's.
	st.kernel0, err = workload.SettledKernelMemory()
	return err
}

// conntrackDrops is what the node's conntrack table has refused so far.
func (st *Stage) conntrackDrops() (n uint64, err error) {
	err = st.Net.Node.Do(func() error {
		n, err = workload.ConntrackDrops()
		return err
	})
	return n, err
}

// Mark says why the trial's samples are to be set aside, empty if they are not: because
// the node's conntrack table was full meanwhile, and packets that it refused are no
// packets of the mode's.
func (st *Stage) Mark() string {
	if st.Net == nil || st.Net.Node == nil {
		return st.mark
	}
	if n, err := st.conntrackDrops(); err == nil && n > st.drops0 {
		st.mark = fmt.Sprintf("the node's conntrack table was full: %d packets or flows were dropped", n-st.drops0)
	}
	return st.mark
}

// leaveFrom is from how many Services on a node goes with its network namespace instead of
// being cleared first. To see that the kernel has freed it takes some 50 ms, which fewer
// Services are cleared in.
const leaveFrom = 1000

// settleWithin bounds how long the kernel may take to free a node. The next set-up can be
// made nevertheless.
const settleWithin = 30 * time.Second

// TearDown takes down what SetUp made, and what the mode programmed. It may be called
// twice.
func (st *Stage) TearDown() error { return st.takeDown(st.Count() >= leaveFrom) }

// takeDown is TearDown; with leave what the mode programmed goes with its namespace.
func (st *Stage) takeDown(leave bool) error {
	var errs []error
	st.Mark()
	if p := st.Proxier; p != nil {
		errs = append(errs, st.Net.Node.Do(func() error {
			if leave {
				return modes.Leave(p)
			}
			return p.Close()
		}))
	}
	if st.Server != nil {
		st.Server.Close()
	}
	if st.Net != nil {
		errs = append(errs, st.Net.Close())
		if leave {
			ctx, cancel := context.WithTimeout(context.Background(), settleWithin)
			defer cancel()
			if err := topo.Settle(ctx); !errors.Is(err, context.DeadlineExceeded) {
				errs = append(errs, err)
			}
		}
	}
	st.Proxier, st.Server, st.Net = nil, nil, nil
	return errors.Join(errs...)
}

// Abandon takes down a set-up whose Sync was cut off. What that left half-written is in
// no state to be cleared: it goes with its namespace, which must not be held by a socket of
// the mode's, or by a process of its own.
func (st *Stage) Abandon() error { return st.takeDown(true) }

// StopServer ends the servers behind the endpoints, for something else to take their
// place.
func (st *Stage) StopServer() {
	st.Server.Close()
	st.Server = nil
}
