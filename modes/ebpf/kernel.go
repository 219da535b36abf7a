package ebpf

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	bpf "github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"viplab/modes"
)

// Sizes of the maps that the programs fill themselves, as entries. A flow takes two. The
// kernel keeps those that were used last, so that a full map loses only flows that have
// been silent; all of it is allocated at once.
const (
	flowEntries     = 1 << 17
	affinityEntries = 1 << 16
	peerEntries     = 1 << 16
	nodeEntries     = 1 << 10
)

// leastEntries is how many entries the maps of Services have room for at least.
const leastEntries = 1 << 10

// kernel is the programs of one family, loaded, with their maps.
type kernel struct {
	options Options
	coll    *bpf.Collection
	room    [kinds]int // of each kind; Slots and Ports share that of Ports
}

// roomFor is how many entries a map gets that is to hold n: a quarter more, and a power
// of two.
func roomFor(n int) int {
	n += n / 4
	return max(leastEntries, 1<<bits.Len(uint(n)))
}

// load loads the programs with maps that have room for some entries. What a former kernel
// knows of flows goes on in this one.
func load(o Options, cookie uint64, need [kinds]int, former *kernel) (*kernel, error) {
	s, err := spec(o.Family)
	if err != nil {
		return nil, err
	}
	k := &kernel{options: o}
	need[Ports] += need[Slots]
	for kind := range kinds {
		k.room[kind] = roomFor(need[kind])
	}
	if err := k.size(s, cookie); err != nil {
		return nil, err
	}
	opts := bpf.CollectionOptions{}
	if former != nil {
		opts.MapReplacements = map[string]*bpf.Map{}
		for _, name := range []string{nodesMap, linksMap, configMap, affinityMap, flowsMap, peersMap} {
			opts.MapReplacements[name] = former.coll.Maps[name]
		}
	}
	if k.coll, err = bpf.NewCollectionWithOptions(s, opts); err != nil {
		return nil, explain("load BPF programs", err)
	}
	return k, nil
}

// size sets what the objects leave open: sizes, constants, and which programs there are.
func (k *kernel) size(s *bpf.CollectionSpec, cookie uint64) error {
	for name, n := range map[string]int{
		servicesMap: k.room[Ports], backendsMap: k.room[Backends], sourcesMap: k.room[Sources], maglevMap: 1,
		nodesMap: nodeEntries, linksMap: nodeEntries, affinityMap: affinityEntries, flowsMap: flowEntries, peersMap: peerEntries,
	} {
		s.Maps[name].MaxEntries = uint32(n)
	}
	if !k.options.Attach.socket() {
		s.Maps[peersMap].MaxEntries = 1
		for name := range socketCalls(k.options.Family) {
			delete(s.Programs, name)
		}
	}
	if !k.options.Attach.tc() {
		s.Maps[flowsMap].MaxEntries = 1
		delete(s.Programs, fromLink)
		delete(s.Programs, toLink)
	}
	constants := map[string]any{"node_netns": cookie, "by_maglev": uint32(0), "table_size": uint32(1)}
	if n := k.options.table(); n > 0 {
		s.Maps[maglevMap].MaxEntries, s.Maps[maglevMap].ValueSize = uint32(k.room[Tables]), uint32(4*n)
		constants["by_maglev"], constants["table_size"] = uint32(1), uint32(n)
	}
	for name, v := range constants {
		if err := s.Variables[name].Set(v); err != nil {
			return fmt.Errorf("set %s of the BPF programs: %w", name, err)
		}
	}
	return nil
}

// holds tells whether the maps have room while a change is made: what is new is there
// before what is old goes.
func (k *kernel) holds(held [kinds]int, c *Change) bool {
	peak := held
	for kind := range kinds {
		peak[kind] += len(c.Delete[kind]) // held is what is there afterwards
	}
	peak[Ports] += peak[Slots]
	for _, kind := range []Kind{Backends, Sources, Tables, Ports} {
		if peak[kind] > k.room[kind] {
			return false
		}
	}
	return true
}

// apply makes a change, in the order that keeps what the programs see whole.
func (k *kernel) apply(c *Change) (cost modes.Cost, err error) {
	st := storeOf(k.options.Family)
	for kind := range kinds {
		if len(c.Put[kind]) > 0 {
			one, err := st.put(k.coll.Maps, kind, c.Put[kind])
			if cost.Add(one); err != nil {
				return cost, err
			}
		}
	}
	for kind := kinds - 1; kind >= 0; kind-- {
		if len(c.Delete[kind]) > 0 {
			one, err := st.remove(k.coll.Maps, kind, c.Delete[kind])
			if cost.Add(one); err != nil {
				return cost, err
			}
		}
	}
	return cost, nil
}

func (k *kernel) close() {
	if k != nil && k.coll != nil {
		k.coll.Close()
	}
}

// logLines is how much of the verifier's log an error shows: its end says what was wrong.
const logLines = 12

// explain says what an error of the BPF system call means.
func explain(what string, err error) error {
	var refused *bpf.VerifierError
	switch {
	case errors.Is(err, unix.EPERM):
		// Not err itself: it names whatever was tried first, and guesses at the limit of locked
		// memory, which kernels have not held BPF to since 5.11.
		return &modes.MissingError{
			Need: "the right to " + what + " (CAP_BPF and CAP_NET_ADMIN of the host itself, not of a user namespace)",
			Mend: "run as root", Err: unix.EPERM,
		}
	case errors.Is(err, unix.ENOSYS), errors.Is(err, bpf.ErrNotSupported):
		return &modes.MissingError{Need: "BPF in this kernel", Mend: "use a kernel of 6.1 or later with CONFIG_BPF_SYSCALL", Err: err}
	case errors.As(err, &refused) && len(refused.Log) > 0:
		log := refused.Log[max(0, len(refused.Log)-logLines):]
		return fmt.Errorf("%s: the kernel's verifier refused: %w; the end of its log:\n%s", what, refused.Unwrap(), strings.Join(log, "\n"))
	}
	return fmt.Errorf("%s: %w", what, err)
}
