package nftables

import "math/bits"

// fill is how many elements each set of fixed size has, and may have.
//
// Of a set whose size is known the kernel makes a hash table of that size; of another
// it makes one that grows, which a transaction of many elements fills faster than it
// can grow (a quarter of the time of a full sync at 20 000 Services, natively).
type fill map[string]*level

type level struct{ has, room uint32 }

// Bounds of the room: for four times as many elements as there are, and for some where
// there are few.
const (
	growth    = 4
	leastSize = 1024
)

// measure gives the sets of a Table their sizes and counts what is in them.
func measure(t Table) fill {
	f := fill{}
	for _, s := range t.Sets {
		if s.Timeout == 0 {
			f[s.Name] = &level{}
		}
	}
	for _, e := range t.Elements {
		f[e.In].has++
	}
	for _, s := range t.Sets {
		if l := f[s.Name]; l != nil {
			l.room = max(leastSize, uint32(1)<<bits.Len32(growth*l.has))
			s.Size = l.room
		}
	}
	return f
}

// fits counts what a Change adds and takes away, and says whether there is room.
func (f fill) fits(c *Change) bool {
	if f == nil {
		return true
	}
	for _, e := range c.DelElements {
		f[e.In].has--
	}
	for _, e := range c.AddElements {
		f[e.In].has++
	}
	for _, l := range f {
		if l.has > l.room {
			return false
		}
	}
	return true
}
