package topo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
)

// settleEvery is how often it is looked whether the kernel is done.
const settleEvery = 2 * time.Millisecond

// Settle waits until the kernel has freed all namespaces that were closed before. It does so
// in the background, in batches one after another, and takes the links of a batch away
// before its tables. So a link is seen to vanish whose end lies in a namespace that is closed
// now: then the batches before that one are done. It may be in one batch with those that
// are waited for; the second such link is not.
func Settle(ctx context.Context) error {
	for range 2 {
		if err := canary(ctx); err != nil {
			return fmt.Errorf("wait for closed network namespaces to be freed: %w", err)
		}
	}
	return nil
}

// canary closes a namespace and waits for its link to vanish.
func canary(ctx context.Context) (err error) {
	const link = "canary"
	home, err := newNamespace("home")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	away, err := newNamespace("away")
	if err != nil {
		return err
	}
	err = home.Do(func() error { return addVeth(link, away, link) })
	if err = errors.Join(err, away.Close()); err != nil {
		return err
	}
	return home.Do(func() error {
		for {
			_, err := netlink.LinkByName(link)
			var gone netlink.LinkNotFoundError
			if errors.As(err, &gone) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("look for link %s: %w", link, err)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(settleEvery):
			}
		}
	})
}
