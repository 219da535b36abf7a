package ebpf

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	bpf "github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"viplab/modes"
	"viplab/modes/clock"
)

// Names of the maps in the objects.
const (
	servicesMap = "services"
	backendsMap = "backends"
	sourcesMap  = "sources"
	maglevMap   = "maglev"
	nodesMap    = "nodes"
	linksMap    = "links"
	configMap   = "config"
	affinityMap = "affinity"
	flowsMap    = "flows"
	peersMap    = "peers"
)

// kernelMaps are those of one family in the kernel, by name.
type kernelMaps map[string]*bpf.Map

// store writes what was planned into maps.
type store interface {
	// put and remove write or delete entries of one kind.
	put(kernelMaps, Kind, []Entry) (modes.Cost, error)
	remove(kernelMaps, Kind, []Entry) (modes.Cost, error)
	// configure sets what all Services depend on; describe the node's addresses, with
	// whether node ports are served there, and that of each link, by index.
	configure(kernelMaps, scope) error
	describe(kernelMaps, map[netip.Addr]bool, map[uint32]netip.Addr) error
	// read makes the entries out of what the maps hold, in no order.
	read(kernelMaps) ([]Entry, error)
}

func storeOf(f modes.Family) store {
	if f == modes.IPv6 {
		return typed[address6]{}
	}
	return typed[address4]{}
}

// typed is the store of one family.
type typed[A address] struct{}

func (typed[A]) put(m kernelMaps, kind Kind, entries []Entry) (modes.Cost, error) {
	switch kind {
	case Backends:
		return write(m[backendsMap], entries, func(e Entry) uint32 { return e.ID }, func(e Entry) backendValue[A] { return toBackend[A](e.Backend, e.Fronts) })
	case Sources:
		return writeEach(m[sourcesMap], entries, func(e Entry) sourceKey[A] { return toSource[A](e.Key) }, func(Entry) any { return uint32(1) })
	case Tables:
		return writeEach(m[maglevMap], entries, func(e Entry) uint32 { return e.ID }, func(e Entry) any { return e.Table })
	}
	return write(m[servicesMap], entries, func(e Entry) frontKey[A] { return toFront[A](e.Front) }, func(e Entry) serviceValue {
		return serviceValue{e.Service.ID, e.Service.Count, uint16(e.Service.Flags), e.Service.Affinity}
	})
}

func (typed[A]) remove(m kernelMaps, kind Kind, entries []Entry) (modes.Cost, error) {
	switch kind {
	case Backends:
		return erase(m[backendsMap], entries, func(e Entry) uint32 { return e.ID })
	case Sources:
		return eraseEach(m[sourcesMap], entries, func(e Entry) sourceKey[A] { return toSource[A](e.Key) })
	case Tables:
		return erase(m[maglevMap], entries, func(e Entry) uint32 { return e.ID })
	}
	return erase(m[servicesMap], entries, func(e Entry) frontKey[A] { return toFront[A](e.Front) })
}

// write puts entries into a map with one system call.
func write[K, V any](m *bpf.Map, entries []Entry, key func(Entry) K, value func(Entry) V) (modes.Cost, error) {
	start := clock.Now()
	keys, values := make([]K, len(entries)), make([]V, len(entries))
	for i, e := range entries {
		keys[i], values[i] = key(e), value(e)
	}
	cost := costOf(m, len(entries), m.KeySize()+m.ValueSize(), start)
	start = clock.Now()
	_, err := m.BatchUpdate(keys, values, nil)
	cost.Commit = clock.Since(start)
	return cost, wrap(m, "write to", err)
}

// writeEach puts entries into a map one by one: a trie of prefixes is not preallocated,
// and allocation fails in batches; and the size of Maglev's tables is not that of a type.
func writeEach[K any](m *bpf.Map, entries []Entry, key func(Entry) K, value func(Entry) any) (modes.Cost, error) {
	start := clock.Now()
	cost := costOf(m, len(entries), m.KeySize()+m.ValueSize(), start)
	for _, e := range entries {
		if err := putOne(m, key(e), value(e)); err != nil {
			return cost, wrap(m, "write to", err)
		}
	}
	cost.Commit = clock.Since(start)
	return cost, nil
}

// refills and refillPause bound how long an entry waits for memory.
const (
	refills     = 100
	refillPause = time.Millisecond
)

// putOne puts an entry into a map whose entries are allocated one by one: from a small
// cache of the CPU's, which the kernel fills up on its own time (kernel/bpf/memalloc.c).
func putOne(m *bpf.Map, key, value any) error {
	err := m.Put(key, value)
	for range refills {
		if !errors.Is(err, unix.ENOMEM) {
			break
		}
		time.Sleep(refillPause)
		err = m.Put(key, value)
	}
	return err
}

func erase[K any](m *bpf.Map, entries []Entry, key func(Entry) K) (modes.Cost, error) {
	start := clock.Now()
	keys := make([]K, len(entries))
	for i, e := range entries {
		keys[i] = key(e)
	}
	cost := costOf(m, len(entries), m.KeySize(), start)
	start = clock.Now()
	_, err := m.BatchDelete(keys, nil)
	cost.Commit = clock.Since(start)
	return cost, wrap(m, "delete from", err)
}

func eraseEach[K any](m *bpf.Map, entries []Entry, key func(Entry) K) (modes.Cost, error) {
	start := clock.Now()
	cost := costOf(m, len(entries), m.KeySize(), start)
	for _, e := range entries {
		if err := m.Delete(key(e)); err != nil {
			return cost, wrap(m, "delete from", err)
		}
	}
	cost.Commit = clock.Since(start)
	return cost, nil
}

func costOf(m *bpf.Map, n int, size uint32, since clock.Instant) modes.Cost {
	return modes.Cost{Objects: n, Bytes: n * int(size), Encode: clock.Since(since)}
}

func wrap(m *bpf.Map, what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s BPF map %s: %w", what, m, err)
}

func (typed[A]) configure(m kernelMaps, s scope) error {
	return wrap(m[configMap], "write to", m[configMap].Put(uint32(0), toSettings[A](s)))
}

func (typed[A]) describe(m kernelMaps, nodes map[netip.Addr]bool, links map[uint32]netip.Addr) error {
	own := make(map[A]uint32, len(nodes))
	for a, ports := range nodes {
		served := uint32(0)
		if ports {
			served = 1
		}
		own[toAddress[A](a)] = served
	}
	at := make(map[uint32]A, len(links))
	for index, a := range links {
		at[index] = toAddress[A](a)
	}
	return errors.Join(replace(m[nodesMap], own), replace(m[linksMap], at))
}

// replace gives a small map some content: first what comes, then what goes.
func replace[K comparable, V any](m *bpf.Map, content map[K]V) error {
	for k, v := range content {
		if err := m.Put(k, v); err != nil {
			return wrap(m, "write to", err)
		}
	}
	var gone []K
	if err := each(m, func(k K, _ V) {
		if _, stays := content[k]; !stays {
			gone = append(gone, k)
		}
	}); err != nil {
		return err
	}
	for _, k := range gone {
		if err := m.Delete(k); err != nil {
			return wrap(m, "delete from", err)
		}
	}
	return nil
}
