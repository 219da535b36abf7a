package ebpf

import (
	"fmt"
	"slices"

	"viplab/modes"
)

// Attach is where the programs run.
type Attach string

// The places. Both together serve everybody as Cilium does: the node's own sockets at
// once, all others by their packets.
const (
	Both   Attach = "both"
	TC     Attach = "tc"
	Socket Attach = "socket"
)

// Attaches lists the places, the default first.
func Attaches() []Attach { return []Attach{Both, TC, Socket} }

func (a Attach) tc() bool     { return a != Socket }
func (a Attach) socket() bool { return a != TC }

// Select is how a new flow gets its endpoint.
type Select string

// The ways: any at random, or by Maglev's table, where the same flow gets the same endpoint
// on every node.
const (
	Random Select = "random"
	Maglev Select = "maglev"
)

// Selects lists the ways, the default first.
func Selects() []Select { return []Select{Random, Maglev} }

// Options are the mode's parameters. The zero value is valid.
type Options struct {
	// Family is IPv4 (the default) or IPv6.
	Family modes.Family
	// Attach is [Both] if empty.
	Attach Attach
	// Select is [Random] if empty.
	Select Select
	// TableSize is that of Maglev's tables, one of [TableSizes], the first if 0.
	TableSize int
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	switch {
	case o.Attach != "" && !slices.Contains(Attaches(), o.Attach):
		return fmt.Errorf("unknown attach %q: valid are %v", o.Attach, Attaches())
	case o.Select != "" && !slices.Contains(Selects(), o.Select):
		return fmt.Errorf("unknown select %q: valid are %v", o.Select, Selects())
	case o.TableSize != 0 && !slices.Contains(TableSizes(), o.TableSize):
		return fmt.Errorf("unknown table size %d: valid are %v", o.TableSize, TableSizes())
	}
	return nil
}

// table is the size of Maglev's tables, 0 if there are none.
func (o Options) table() int {
	switch {
	case o.Select != Maglev:
		return 0
	case o.TableSize == 0:
		return TableSizes()[0]
	}
	return o.TableSize
}

func (o Options) planner() Planner {
	return Planner{Family: o.Family, Table: o.table(), Limits: LimitsAt(o.Attach)}
}
