package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/proxy"
)

// driven is a proxier and what it was told.
type driven struct {
	proxier  proxy.Provider
	config   Config
	services map[string]*v1.Service
	slices   map[string]*discovery.EndpointSlice
	pending  []func() // calls of handlers that the next sync makes
	begun    bool
}

// drive takes a proxier over that was just made.
func drive(p proxy.Provider, c Config, n Node) *driven {
	p.OnTopologyChange(map[string]string{v1.LabelHostname: n.Name, v1.LabelTopologyZone: n.Zone})
	return &driven{proxier: p, config: c, services: map[string]*v1.Service{}, slices: map[string]*discovery.EndpointSlice{}}
}

// take notes an object that is new or changed, or gone.
func (d *driven) take(set bool, raw json.RawMessage) error {
	var kind metav1.PartialObjectMetadata
	if err := json.Unmarshal(raw, &kind); err != nil {
		return fmt.Errorf("read an object: %w", err)
	}
	key := kind.Namespace + "/" + kind.Name
	switch {
	case kind.Kind == "Service" && set:
		return setIn(d, d.services, key, raw, d.proxier.OnServiceAdd, d.proxier.OnServiceUpdate)
	case kind.Kind == "Service":
		return deleteFrom(d, d.services, key, d.proxier.OnServiceDelete)
	case kind.Kind == "EndpointSlice" && set:
		return setIn(d, d.slices, key, raw, d.proxier.OnEndpointSliceAdd, d.proxier.OnEndpointSliceUpdate)
	case kind.Kind == "EndpointSlice":
		return deleteFrom(d, d.slices, key, d.proxier.OnEndpointSliceDelete)
	}
	return fmt.Errorf("an object of kind %q", kind.Kind)
}

func setIn[T any](d *driven, known map[string]*T, key string, raw json.RawMessage, add func(*T), update func(old, next *T)) error {
	next := new(T)
	if err := json.Unmarshal(raw, next); err != nil {
		return fmt.Errorf("read object %s: %w", key, err)
	}
	old := known[key]
	known[key] = next
	d.pending = append(d.pending, func() {
		if old == nil {
			add(next)
			return
		}
		update(old, next)
	})
	return nil
}

func deleteFrom[T any](d *driven, known map[string]*T, key string, remove func(*T)) error {
	old := known[key]
	if old == nil {
		return fmt.Errorf("delete %s: it is not known", key)
	}
	delete(known, key)
	d.pending = append(d.pending, func() { remove(old) })
	return nil
}

// sync lets the proxier see what it was told, and program it.
func (d *driven) sync() (*reply, error) {
	usage := startUsage()
	start := time.Now()
	for _, call := range d.pending {
		call()
	}
	if !d.begun {
		d.proxier.OnServiceSynced() // programs nothing before it has both
		d.begun = true
	}
	d.proxier.OnEndpointSlicesSynced()
	took := time.Since(start)
	d.pending = nil
	done := usage.stop()
	// A proxier tells its health server of every sync that succeeded.
	if d.config.Health.Health().Status[d.config.Family].LastUpdated.Before(start) {
		return nil, errors.New("kube-proxy's sync failed")
	}
	done.Did, done.Seconds, done.Rules = "programmed", took.Seconds(), rulesWritten()
	return &done, nil
}
