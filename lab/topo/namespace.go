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
	onThread(func() { n.live(made) })
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make network namespace %s: %w", name, err)
	}
	return n, nil
}

// onThread starts a function on a thread of its own. It is never unlocked, so that it ends
// with the function and no other goroutine ever runs in its namespace by chance. It is
// not the process's main thread, which cannot end: that would keep the namespace for good.
func onThread(fn func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			fn()
			return
		}
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // the main one is taken
			fn()
		}()
		<-done
	}()
}

// live is the namespace's thread. It lives as long as the namespace because processes
// started from it are to die with it (Pdeathsig is bound to the thread).
func (n *Namespace) live(made chan<- error) {
	defer close(n.done)
	outside, err := netns.Get()
	if err != nil {
		made <- err
		return
	}
	defer outside.Close()
	fd, err := netns.New()
	if err != nil {
		made <- err
		return
	}
	// The thread ends some time after it is done, and would hold the namespace until then.
	defer func() { _ = netns.Set(outside) }()
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
	onThread(func() {
		if err := unix.Setns(int(n.fd), unix.CLONE_NEWNET); err != nil {
			entered <- fmt.Errorf("enter network namespace %s: %w", n.Name, err)
			return
		}
		entered <- nil
		fn()
	})
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
