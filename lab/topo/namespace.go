package topo

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace with a thread that lives in it.
type Namespace struct {
	Name  string
	fd    netns.NsHandle
	calls chan func()
	done  chan struct{}
}

// newNamespace makes an empty network namespace. It has no name in the file
// system: it is gone when it is closed and no socket or process is left in it.
func newNamespace(name string) (*Namespace, error) {
	n := &Namespace{Name: name, calls: make(chan func()), done: make(chan struct{})}
	made := make(chan error)
	go n.live(made)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make network namespace %s: %w", name, err)
	}
	return n, nil
}

// live is the namespace's thread. It is never unlocked, so that it ends with
// the goroutine and no other goroutine ever runs in this namespace by chance.
// It lives as long as the namespace because processes started from it are to
// die with it (Pdeathsig is bound to the thread).
func (n *Namespace) live(made chan<- error) {
	defer close(n.done)
	runtime.LockOSThread()
	fd, err := netns.New()
	if err != nil {
		made <- err
		return
	}
	n.fd = fd
	made <- nil
	for call := range n.calls {
		call()
	}
}

// Do runs a function in the namespace, on its one thread, and waits for it.
func (n *Namespace) Do(fn func() error) error {
	result := make(chan error, 1)
	n.calls <- func() { result <- fn() }
	return <-result
}

// Go starts a function on a new thread in the namespace and returns once it
// runs there.
func (n *Namespace) Go(fn func()) error {
	entered := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, see live
		if err := unix.Setns(int(n.fd), unix.CLONE_NEWNET); err != nil {
			entered <- fmt.Errorf("enter network namespace %s: %w", n.Name, err)
			return
		}
		entered <- nil
		fn()
	}()
	return <-entered
}

// Close ends the namespace's thread and lets the kernel free the namespace.
func (n *Namespace) Close() error {
	if n == nil {
		return nil
	}
	close(n.calls)
	<-n.done
	return n.fd.Close()
}
