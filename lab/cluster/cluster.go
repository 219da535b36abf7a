// Package cluster takes a user's own cluster as the lab's input: Kubernetes objects out of
// files, seen from one node, and moved into the lab's network for trials with packets.
package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"viplab/lab/topo"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/snapshot/kube"
)

// Source is where a cluster's objects are.
type Source struct {
	// Path is a file, a folder of YAML and JSON files, or "-" for standard input.
	Path string
	// Node is the name of the node whose view is taken, empty for that with the most
	// endpoints.
	Node string
	// Stdin is what "-" stands for.
	Stdin io.Reader
	// Copy is a folder to make, with a copy of what is read; empty for none.
	Copy string
}

// Name is the path without the folders that it lies in.
func (s Source) Name() string {
	if s.Path == kube.Stdin {
		return "stdin.yaml"
	}
	if name := filepath.Base(Named(s.Path)); name != string(filepath.Separator) {
		return name
	}
	return "root"
}

// Named is the path such that it ends in a name: one that ends in "." or ".." has none until
// it is seen from the root.
func Named(path string) string {
	if base := filepath.Base(path); base == "." || base == ".." {
		if abs, err := filepath.Abs(path); err == nil {
			return abs
		}
	}
	return path
}

// load reads the objects, and makes the copy.
func (s Source) load() (*kube.Objects, error) {
	l := kube.Loader{Stdin: s.Stdin}
	if s.Copy == "" {
		return l.Load(s.Path)
	}
	into := s.Copy
	if info, err := os.Stat(s.Path); err == nil && info.IsDir() {
		into = filepath.Join(s.Copy, s.Name())
	}
	if err := os.MkdirAll(into, 0o777); err != nil {
		return nil, fmt.Errorf("copy %s: %w", s.Path, err)
	}
	l.Tee = func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(into, name)) }
	objects, err := l.Load(s.Path)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Copy))
	}
	return objects, nil
}

// Copied is the path of what a Source copied into a folder, empty if there is none.
func Copied(folder string) string {
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		return ""
	}
	return filepath.Join(folder, entries[0].Name())
}

// Cluster is a node's view of a cluster.
type Cluster struct {
	// Snapshot is in normal form; its node's settings are open.
	Snapshot modes.Snapshot
	// Name is the source's, without its folder.
	Name string
	// Node is the node whose view it is.
	Node string
	// Digest is the SHA-256 sum of what was read.
	Digest string
	// LeftOut is what is not used of it, by object and reason.
	LeftOut []kube.LeftOut
	// Mapped are addresses that were replaced, see [Cluster.Move].
	Mapped []kube.Mapping
}

// Read reads a cluster.
func Read(s Source) (Cluster, error) {
	objects, err := s.load()
	if err != nil {
		return Cluster{}, err
	}
	seen, err := objects.Cluster(s.Node)
	if err != nil {
		return Cluster{}, err
	}
	c := Cluster{Snapshot: seen.Snapshot, Name: s.Name(), Node: seen.Node, Digest: objects.Digest(), LeftOut: seen.LeftOut}
	if len(c.Snapshot.Services) == 0 {
		return c, fmt.Errorf("%s: it has no Service that a proxy serves, of %d%s", s.Path, objects.Services(), first(c.LeftOut))
	}
	return c, nil
}

// first is the first thing that was left out, for the end of a sentence.
func first(left []kube.LeftOut) string {
	if len(left) == 0 {
		return ""
	}
	return ": " + left[0].String()
}

// Asked is a mode with arguments, in which Services are to be served.
type Asked struct {
	modes.Mode
	Args modes.Args
}

// Keep leaves out the Services that one of some modes cannot serve with its arguments, so
// that all serve the same ones.
func (c *Cluster) Keep(list ...Asked) {
	c.leave(func(svc *modes.Service) error {
		for _, m := range list {
			if err := m.CheckServices(m.Args, svc); err != nil {
				return err
			}
		}
		return nil
	})
}

// Larger is the address family that has more of its Services, IPv4 of two alike.
func (c Cluster) Larger() modes.Family {
	six := 0
	for _, svc := range c.Snapshot.Services {
		if svc.Family() == modes.IPv6 {
			six++
		}
	}
	if 2*six > len(c.Snapshot.Services) {
		return modes.IPv6
	}
	return modes.IPv4
}

// KeepFamilies leaves out the Services of other address families.
func (c *Cluster) KeepFamilies(f modes.Family) {
	c.leave(func(svc *modes.Service) error {
		if f.Has(svc.Family()) {
			return nil
		}
		return fmt.Errorf("its part of %s: only %s was asked for", svc.Family(), f)
	})
}

// leave leaves out the Services for which there is a reason.
func (c *Cluster) leave(why func(*modes.Service) error) {
	c.Snapshot.Services = slices.DeleteFunc(slices.Clone(c.Snapshot.Services), func(svc *modes.Service) bool {
		err := why(svc)
		if err != nil {
			c.LeftOut = append(c.LeftOut, kube.LeftOut{Object: "Service " + svc.Key(), Reason: err.Error()})
		}
		return err != nil
	})
}

// Move moves the cluster's addresses into the lab's network, one to one. Those that lie
// there stay.
func (c *Cluster) Move() error {
	var err error
	if c.Snapshot, c.Mapped, err = kube.Into(c.Snapshot, trial.Networks()...); err != nil {
		return err
	}
	c.Snapshot.ClusterCIDR = topo.Of(modes.IPv4).Endpoints
	if slices.ContainsFunc(c.Snapshot.Services, func(svc *modes.Service) bool { return svc.Family() == modes.IPv6 }) {
		c.Snapshot.ClusterCIDR6 = topo.Of(modes.IPv6).Endpoints
	}
	c.Snapshot, err = c.Snapshot.Normal()
	return err
}

// At is the Snapshot as it is, on a node of some addresses, with the ranges of the pods,
// at most one of each family.
func (c Cluster) At(node []netip.Addr, ranges []string) (modes.Snapshot, error) {
	s := c.Snapshot
	s.Node.Addrs = node
	for _, text := range ranges {
		r, err := netip.ParsePrefix(text)
		if err != nil {
			return s, fmt.Errorf("cluster range %q is no range", text)
		}
		into := &s.ClusterCIDR
		if r.Addr().Is6() {
			into = &s.ClusterCIDR6
		}
		if into.IsValid() {
			return s, fmt.Errorf("cluster ranges %s and %s are of one family: a node has one of each", *into, r)
		}
		*into = r
	}
	return s.Normal()
}

// Write says for people what was read, what is not used of it, and which addresses were
// replaced, each list cut after some lines.
func (c Cluster) Write(w io.Writer) error {
	ports, endpoints := 0, 0
	for _, svc := range c.Snapshot.Services {
		ports, endpoints = ports+len(svc.Ports), endpoints+len(svc.Endpoints)
	}
	node := "no node, since no endpoint names one"
	if c.Node != "" {
		node = "node " + c.Node
	}
	fmt.Fprintf(w, "%s: Services (each family counted): %d, ports: %d, endpoints: %d, as seen from %s\n", c.Name, len(c.Snapshot.Services), ports, endpoints, node)
	lines(w, "not used", c.LeftOut)
	return lines(w, "addresses replaced", c.Mapped)
}

// maxLines is how much of a list is shown.
const maxLines = 12

func lines[T fmt.Stringer](w io.Writer, what string, list []T) error {
	if len(list) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s: %d\n", what, len(list))
	for i, one := range list {
		if i == maxLines {
			_, err = fmt.Fprintf(w, "  and %d more\n", len(list)-i)
			break
		}
		_, err = fmt.Fprintf(w, "  %s\n", one)
	}
	return err
}

// WriteAll writes both lists whole, a line each: what is not used, and the addresses that
// were replaced.
func (c Cluster) WriteAll(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# %s, SHA-256 %s, as seen from node %q\n# not used: %d\n", c.Name, c.Digest, c.Node, len(c.LeftOut))
	for _, l := range c.LeftOut {
		fmt.Fprintln(b, l)
	}
	fmt.Fprintf(b, "# addresses replaced: %d\n", len(c.Mapped))
	for _, m := range c.Mapped {
		fmt.Fprintln(b, m)
	}
	return b.Flush()
}

// Count is how many Services there are, a dual-stack one counted once.
func (c Cluster) Count() int {
	n := 0
	for i, svc := range c.Snapshot.Services {
		if i == 0 || svc.Key() != c.Snapshot.Services[i-1].Key() {
			n++
		}
	}
	return n
}

// Mean is how many endpoints and ports a Service has on average, rounded up, at least one.
func (c Cluster) Mean() (endpoints, ports int) {
	n := max(1, len(c.Snapshot.Services))
	for _, svc := range c.Snapshot.Services {
		endpoints, ports = endpoints+len(svc.Endpoints), ports+len(svc.Ports)
	}
	return max(1, (endpoints+n-1)/n), max(1, (ports+n-1)/n)
}

// Families is the address families of its Services.
func (c Cluster) Families() modes.Family {
	has := map[modes.Family]bool{}
	for _, svc := range c.Snapshot.Services {
		has[svc.Family()] = true
	}
	switch {
	case !has[modes.IPv6]:
		return modes.IPv4
	case !has[modes.IPv4]:
		return modes.IPv6
	}
	return modes.Dual
}
