package ipvs

import (
	"iter"
	"net/netip"
	"slices"

	"viplab/modes"
)

// account is which kernel objects there are, and how many Services need each. An object
// comes with the first that needs it and goes with the last, whatever it is: two Services
// may select the same endpoints, share an external address, or exchange a node port
// within one Sync.
type account struct {
	held map[key]claim
}

type claim struct {
	owners int32
	terms
}

func newAccount() *account { return &account{held: map[key]claim{}} }

// needs appends what a Service needs, as the operations that make it; nothing for nil.
type needs func(ops []Op, svc *modes.Service) []Op

// turn carries changes out on the account and yields what follows from them for the
// kernel, in an order in which no traffic meets a half-made Service: what a packet needs
// later is made earlier, and taken away in the opposite order, after all that is new. The
// old Services are those that the account knows, with what they needed then. The
// operations are never held whole: at 20000 Services that would be 14 MB. If the
// iteration is stopped, the account holds what may be in the kernel.
func (a *account) turn(changes []modes.Change, before, now needs) iter.Seq[Op] {
	return func(yield func(Op) bool) {
		a.release(changes, before)
		if a.acquire(changes, now, yield) {
			a.drop(changes, before, yield)
		}
	}
}

// release counts the changed Services' old needs out.
func (a *account) release(changes []modes.Change, before needs) {
	var ops []Op
	for _, c := range changes {
		ops = before(ops[:0], c.Old)
		for i := range ops {
			k := ops[i].key()
			held := a.held[k]
			held.owners--
			a.held[k] = held
		}
	}
}

// acquire counts their new needs in, and yields what must be made or changed.
func (a *account) acquire(changes []modes.Change, now needs, yield func(Op) bool) bool {
	var ops []Op
	for _, c := range changes {
		ops = now(ops[:0], c.New)
		for _, o := range ops {
			k := o.key()
			held, there := a.held[k]
			a.held[k] = claim{held.owners + 1, o.terms}
			switch {
			case there && held.terms == o.terms:
				continue
			case there && o.Kind == AddServer:
				o.Kind = SetServer
			case there && o.Kind == AddReal:
				o.Kind = SetReal
			}
			if !yield(o) {
				return false
			}
		}
	}
	return true
}

// drop yields the deletion of what the old Services needed and nobody does any more.
func (a *account) drop(changes []modes.Change, before needs, yield func(Op) bool) bool {
	var ops []Op
	for _, c := range changes {
		ops = before(ops[:0], c.Old)
		for _, o := range slices.Backward(ops) {
			if !a.discard(o.key(), o, yield) {
				return false
			}
		}
	}
	return true
}

// discard yields the deletion of an object, unless somebody needs it or it goes with its
// virtual server, and forgets it.
func (a *account) discard(k key, o Op, yield func(Op) bool) bool {
	if held, there := a.held[k]; !there || held.owners > 0 {
		return true
	}
	o.Kind = DelAddress - o.Kind
	takenAlong := o.Kind == DelReal && a.held[k.server()].owners <= 0
	if !takenAlong && !yield(o) {
		return false
	}
	delete(a.held, k)
	return true
}

// sweep yields the deletion of all that nobody needs.
func (a *account) sweep(yield func(Op) bool) bool {
	var left []key
	for k, held := range a.held {
		if held.owners <= 0 {
			left = append(left, k)
		}
	}
	slices.SortFunc(left, func(x, y key) int { return y.compare(x) })
	for _, k := range left {
		if !a.discard(k, k.op(), yield) {
			return false
		}
	}
	return true
}

// Plan lists the operations that carry out changes among Services that share nothing with
// those that do not change, on a node that sends from the first of some addresses.
func Plan(changes []modes.Change, addrs ...netip.Addr) iter.Seq[Op] {
	return plan(changes, nodeOf(modes.NodeConfig{}, addrs...))
}

func plan(changes []modes.Change, n node) iter.Seq[Op] {
	a := newAccount()
	for _, c := range changes {
		a.acquire([]modes.Change{{New: c.Old}}, n.needs, func(Op) bool { return true })
	}
	return a.turn(changes, n.needs, n.needs)
}
