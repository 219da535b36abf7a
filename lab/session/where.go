package session

import (
	"context"

	"viplab/lab/testbed"
)

// Place finds the testbed where the modes of the configuration can run, and says why it is
// that one. Modes that may be left out and cannot run there are then no longer in it, with
// a note for each.
func (s *Session) Place(ctx context.Context) (testbed.Testbed, string, error) {
	at, why, err := s.choose(ctx)
	if err != nil {
		return nil, "", err
	}
	return at[0].Testbed, why, nil
}
