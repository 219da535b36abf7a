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
// update of one Service among tens of thousands cheap.
func Diff(from, to Snapshot) []Change {
	var out []Change
	a, b := from.Services, to.Services
	// What comes before the first difference, which is most of it, is the fastest to
	// pass over so.
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	a, b = a[same:], b[same:]
	// The same from the end.
	i, j := len(a), len(b)
	for i > 0 && j > 0 && a[i-1] == b[j-1] {
		i, j = i-1, j-1
	}
	a, b = a[:i], b[:j]
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
