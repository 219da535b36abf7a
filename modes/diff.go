package modes

// The changes of one object on top of a Snapshot, as synthetic Services
// have them and users name them.
const (
	ServiceAdd     = "service-add"
	ServiceDelete  = "service-delete"
	EndpointAdd    = "endpoint-add"
	EndpointDelete = "endpoint-delete"
)

// ChangeKinds lists the changes in an order in which each undoes the one
// before: after all four the Snapshot is again what it was.
func ChangeKinds() []string {
	return []string{ServiceAdd, ServiceDelete, EndpointAdd, EndpointDelete}
}

// Change is one Service that differs between two Snapshots. Old is nil for an
// added Service, New is nil for a removed one.
type Change struct {
	Old, New *Service
}

// Diff lists the Services that differ between two Snapshots, in order.
//
// Services are immutable, so equal pointers are equal Services; a Service that
// did not change costs one comparison (about a nanosecond), which keeps an
// update of one Service among tens of thousands cheap. Where to was made from
// from, by [Snapshot.With] or [Snapshot.Without], or both have one list, nothing is
// compared.
func Diff(from, to Snapshot) []Change {
	if same(from.Services, to.Services) {
		return nil
	}
	if c := to.edit.change; to.edit.tells(from.Services, to.Services) {
		if c.Old == c.New {
			return nil
		}
		return []Change{c}
	}
	var out []Change
	a, b := from.Services, to.Services
	a, b = apart(a, b)
	for len(a) > 0 && len(b) > 0 {
		if a[0] == b[0] {
			a, b = a[1:], b[1:]
			continue
		}
		switch c := a[0].Compare(b[0]); {
		case c < 0:
			out = append(out, Change{Old: a[0]})
			a = a[1:]
		case c > 0:
			out = append(out, Change{New: b[0]})
			b = b[1:]
		default:
			out = append(out, Change{Old: a[0], New: b[0]})
			a, b = a[1:], b[1:]
		}
	}
	for _, s := range a {
		out = append(out, Change{Old: s})
	}
	for _, s := range b {
		out = append(out, Change{New: s})
	}
	return out
}

// stride is how many pointers are compared at once: as arrays, whose comparison is the
// runtime's for memory, three times as fast as pointer by pointer. With 20000 Services it
// is most of what planning a change takes.
const stride = 64

// apart cuts off what is the same at the beginning and at the end, which is most of it.
func apart(a, b []*Service) (_, _ []*Service) {
	for len(a) >= stride && len(b) >= stride && *(*[stride]*Service)(a) == *(*[stride]*Service)(b) {
		a, b = a[stride:], b[stride:]
	}
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) >= stride && len(b) >= stride && *(*[stride]*Service)(a[len(a)-stride:]) == *(*[stride]*Service)(b[len(b)-stride:]) {
		a, b = a[:len(a)-stride], b[:len(b)-stride]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}
