package ebpf

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	bpf "github.com/cilium/ebpf"

	"viplab/modes"
)

// Dump implements [modes.Proxier]: every front that the kernel holds as a line, sorted,
// with the backends that it leads to; and backends that no front leads to, of which there
// should be none.
func (p *Proxier) Dump(context.Context) (string, error) {
	if p.kernel == nil {
		return "", nil
	}
	entries, err := storeOf(p.options.Family).read(p.kernel.coll.Maps)
	if err != nil {
		return "", err
	}
	held := newProgram(p.options)
	for _, e := range entries {
		held.add(e)
	}
	lines := held.lines()
	for _, id := range held.lost() {
		lines = append(lines, fmt.Sprintf("nowhere: backend %s", held.Backends[id]))
	}
	return strings.Join(append(lines, ""), "\n"), nil
}

// lost lists the backends that no front leads to.
func (p Program) lost() []uint32 {
	left := maps.Clone(p.Backends)
	for f, svc := range p.Ports {
		for _, id := range p.of(f, svc) {
			delete(left, id)
		}
	}
	return slices.Sorted(maps.Keys(left))
}

func (typed[A]) read(m kernelMaps) ([]Entry, error) {
	var out []Entry
	err := each(m[backendsMap], func(id uint32, v backendValue[A]) {
		out = append(out, Entry{Key: Key{Kind: Backends, ID: id}, Backend: join(v.Addr, v.Port), Fronts: Fronts(v.Fronts)})
	})
	if err == nil {
		err = each(m[sourcesMap], func(k sourceKey[A], _ uint32) {
			r := netip.PrefixFrom(fromAddress(k.Addr), int(k.Prefix)-32)
			out = append(out, Entry{Key: Key{Kind: Sources, ID: k.ID, Source: r}})
		})
	}
	if err == nil {
		err = eachTable(m[maglevMap], func(id uint32, table []uint32) {
			out = append(out, Entry{Key: Key{Kind: Tables, ID: id}, Table: table})
		})
	}
	if err == nil {
		err = each(m[servicesMap], func(k frontKey[A], v serviceValue) {
			out = append(out, fromFront(k, v))
		})
	}
	return out, err
}

func fromFront[A address](k frontKey[A], v serviceValue) Entry {
	to := join(k.Addr, k.Port)
	e := Entry{
		Key:     Key{Kind: Ports, Front: Front{Addr: to.Addr(), Port: to.Port(), Proto: protocol(k.Proto), Inside: k.Scope != 0, Slot: k.Slot}},
		Service: Service{v.ID, v.Count, Flags(v.Flags), v.Affinity},
	}
	if k.Slot > 0 {
		e.Kind = Slots
	}
	return e
}

func protocol(number uint8) modes.Protocol {
	for _, p := range modes.Protocols() {
		if p.Number() == number {
			return p
		}
	}
	return modes.Protocol(fmt.Sprint(number))
}

// each reads a map whole. An entry that comes while it is read may be missing.
func each[K, V any](m *bpf.Map, fn func(K, V)) error {
	var k K
	var v V
	it := m.Iterate()
	for it.Next(&k, &v) {
		fn(k, v)
	}
	return wrap(m, "read", it.Err())
}

// eachTable reads tables, whose size is not that of a type.
func eachTable(m *bpf.Map, fn func(uint32, []uint32)) error {
	var id uint32
	it := m.Iterate()
	for {
		table := make([]uint32, m.ValueSize()/4)
		if !it.Next(&id, table) {
			return wrap(m, "read", it.Err())
		}
		fn(id, table)
	}
}
