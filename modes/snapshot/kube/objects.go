package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Objects are the Kubernetes objects of some files.
type Objects struct {
	services  []found[*corev1.Service]
	slices    []found[*discoveryv1.EndpointSlice]
	endpoints []found[*corev1.Endpoints]
	left      []LeftOut
	seen      map[string]position
	sum       hash.Hash // of all that was read
}

// Digest is the SHA-256 sum of all that was read, in hexadecimal: for one file what
// sha256sum prints.
func (o *Objects) Digest() string {
	if o.sum == nil {
		o.sum = sha256.New()
	}
	return hex.EncodeToString(o.sum.Sum(nil))
}

// LeftOut is an object, or a part of one, that is not used.
type LeftOut struct {
	Object string // "Service shop/web"
	Reason string
}

// String is both in one line.
func (l LeftOut) String() string { return l.Object + ": " + l.Reason }

// position is where an object stands.
type position struct {
	file string
	line int
}

func (p position) String() string { return fmt.Sprintf("%s, line %d", p.file, p.line) }

// found is an object and where it was found.
type found[T any] struct {
	position
	object T
}

// objectError says what is wrong with an object.
func (f found[T]) errorf(name, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", f.position, name, fmt.Errorf(format, args...))
}

// key is how an object is named in sentences.
func key(kind, namespace, name string) string {
	if namespace == "" {
		namespace = corev1.NamespaceDefault
	}
	return kind + " " + namespace + "/" + name
}

func serviceKey(namespace, name string) string { return key("Service", namespace, name) }

// leave notes what is not used.
func (o *Objects) leave(object, format string, args ...any) {
	o.left = append(o.left, LeftOut{object, fmt.Sprintf(format, args...)})
}

// add takes an object over; decoded says what it is.
func (o *Objects) add(at position, d decoded) error {
	if d.reason != "" {
		o.leave(d.key, "%s", d.reason)
		return nil
	}
	if before, twice := o.seen[d.key]; twice {
		return fmt.Errorf("%s: %s: it was given before, at %s", at, d.key, before)
	}
	if o.seen == nil {
		o.seen = map[string]position{}
	}
	o.seen[d.key] = at
	switch object := d.object.(type) {
	case *corev1.Service:
		o.services = append(o.services, found[*corev1.Service]{at, object})
	case *discoveryv1.EndpointSlice:
		o.slices = append(o.slices, found[*discoveryv1.EndpointSlice]{at, object})
	case *corev1.Endpoints:
		o.endpoints = append(o.endpoints, found[*corev1.Endpoints]{at, object})
	}
	return nil
}

// Services counts the Services that were found, of all types.
func (o *Objects) Services() int { return len(o.services) }
