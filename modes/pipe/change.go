package pipe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viplab/modes"
)

// requests is what to tell of a Service that changed: the objects that are not as they
// were.
func requests(c modes.Change) ([]Request, error) {
	old, err := objectsOf(c.Old)
	if err != nil {
		return nil, err
	}
	next, err := objectsOf(c.New)
	if err != nil {
		return nil, err
	}
	type key struct{ kind, name string }
	had := map[key]json.RawMessage{}
	for _, o := range old {
		had[key{o.kind, o.name}] = o.text
	}
	var out []Request
	for _, o := range next {
		k := key{o.kind, o.name}
		if !bytes.Equal(had[k], o.text) {
			out = append(out, Request{Do: Set, Object: o.text})
		}
		delete(had, k)
	}
	gone := slices.SortedFunc(maps.Keys(had), func(a, b key) int { return bytes.Compare(had[a], had[b]) })
	for _, k := range gone {
		text, err := json.Marshal(metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: k.kind},
			ObjectMeta: metav1.ObjectMeta{Namespace: c.Old.Namespace, Name: k.name}})
		if err != nil {
			return nil, fmt.Errorf("encode what is gone of service %s: %w", c.Old.Key(), err)
		}
		out = append(out, Request{Do: Delete, Object: text})
	}
	return out, nil
}
