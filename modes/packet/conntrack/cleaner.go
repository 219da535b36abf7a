package conntrack

import (
	"viplab/modes"
	"viplab/modes/clock"
)

// Cleaner cleans up after the Syncs of a Proxier. What an error of it has left is looked for
// again after the next one, which else would know nothing of the changes before.
type Cleaner struct {
	// Do is [CleanUp] if nil.
	Do func([]modes.Change, Leads) (int, error)

	cleaned modes.Snapshot // the last that was cleaned up after
	owes    bool           // Syncs since then were not
}

// After deletes the entries that the changes of a Sync have left, now that the kernel holds
// its Snapshot.
func (c *Cleaner) After(changes []modes.Change, s modes.Snapshot, cost *modes.Cost) error {
	start := clock.Now()
	if c.owes {
		// Both: an endpoint that came and went since then is in the changes alone.
		changes = append(modes.Diff(c.cleaned, s), changes...)
	}
	do := c.Do
	if do == nil {
		do = CleanUp
	}
	n, err := do(changes, nil)
	if c.owes = err != nil; !c.owes {
		c.cleaned = s
	}
	cost.Objects += n
	cost.CleanUp += clock.Since(start)
	return err
}
