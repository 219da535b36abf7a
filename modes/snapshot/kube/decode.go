package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// maxObject is the size of the largest object, in bytes, that is read: etcd takes 1.5 MB
// by default, and text with indentation takes a few times what etcd holds.
const maxObject = 16 << 20

// item is the text of one object, and the line that it starts at.
type item struct {
	text []byte
	line int
	json bool
	list string // the kind of the List that it stands in, where that is known
}

// decoded is what an item came to.
type decoded struct {
	key    string
	object any    // nil if there is a reason
	reason string // why it is left out
	err    error
}

// head is what every object has.
type head struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"metadata"`
}

// batchSize is how many items are decoded at once, by all processors.
const batchSize = 512

// batch decodes items side by side and takes them over in their order.
type batch struct {
	into  *Objects
	file  string
	items []item
	bytes int
}

func (b *batch) add(it item) error {
	b.items = append(b.items, it)
	if b.bytes += len(it.text); len(b.items) < batchSize && b.bytes < maxObject {
		return nil
	}
	return b.flush()
}

func (b *batch) flush() error {
	out := make([]decoded, len(b.items))
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(out); i += workers {
				out[i] = decode(b.items[i])
			}
		})
	}
	wg.Wait()
	for i, d := range out {
		at := position{b.file, b.items[i].line}
		if d.err != nil {
			return locate(at, d)
		}
		if err := b.into.add(at, d); err != nil {
			return err
		}
	}
	clear(b.items)
	b.items, b.bytes = b.items[:0], 0
	return nil
}

// lineOf finds the line in an error of the YAML parser.
var lineOf = regexp.MustCompile(`line (\d+): `)

// locate says where an item cannot be decoded: the parser counts lines from the item's.
func locate(at position, d decoded) error {
	text := d.err.Error()
	if m := lineOf.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		at.line += n - 1
		text = strings.Replace(text, m[0], "", 1)
	}
	if d.key != "" {
		text = d.key + ": " + text
	}
	return fmt.Errorf("%s: %s", at, text)
}

// parser takes the parser's name away from its sentences.
var parser = strings.NewReplacer("error converting YAML to JSON: ", "", "yaml: ", "")

// decode makes an object out of its text.
func decode(it item) (d decoded) {
	text := it.text
	if !it.json {
		var err error
		if text, err = yaml.YAMLToJSON(text); err != nil && !bytes.Contains(it.text, []byte("apiVersion")) {
			return decoded{err: fmt.Errorf("no Kubernetes object: %s", parser.Replace(err.Error()))}
		} else if err != nil {
			return decoded{err: errors.New(parser.Replace(err.Error()))}
		}
	}
	var h head
	if h.TypeMeta = typeAhead(text); newObject(h.TypeMeta) == nil {
		if err := json.Unmarshal(text, &h); err != nil {
			return decoded{err: errors.New("no Kubernetes object: " + plain(err))}
		}
	}
	if h.Kind == "" && it.list != "" {
		h.Kind = it.list
		h.APIVersion = map[string]string{"EndpointSlice": discoveryv1.SchemeGroupVersion.String()}[it.list]
		if h.APIVersion == "" {
			h.APIVersion = corev1.SchemeGroupVersion.String()
		}
	}
	if h.Kind == "" || h.APIVersion == "" {
		return decoded{err: errors.New("no Kubernetes object: it has no apiVersion and kind")}
	}
	if d.object = newObject(h.TypeMeta); d.object == nil {
		d.key = key(h.Kind, h.Metadata.Namespace, h.Metadata.Name)
		d.reason = "kind " + h.Kind + " of " + h.APIVersion + " says nothing of Services"
		return d
	}
	err := json.Unmarshal(text, d.object)
	meta, ok := d.object.(metav1.Object)
	if !ok {
		return decoded{err: fmt.Errorf("kind %s has no metadata", h.Kind)}
	}
	d.key = key(h.Kind, meta.GetNamespace(), meta.GetName())
	switch {
	case err != nil:
		d.err = errors.New(plain(err))
	case meta.GetName() == "":
		d.err = errors.New("it has no name")
	}
	return d
}

// newObject is an empty object of a kind, nil if the kind says nothing of Services.
func newObject(t metav1.TypeMeta) any {
	switch t.APIVersion + " " + t.Kind {
	case "v1 Service":
		return &corev1.Service{}
	case discoveryv1.SchemeGroupVersion.String() + " EndpointSlice":
		return &discoveryv1.EndpointSlice{}
	case "v1 Endpoints":
		return &corev1.Endpoints{}
	}
	return nil
}

// typeAhead is the type of an object that begins with it, as kubectl's do, so that it is
// parsed once. Of others it is empty.
func typeAhead(text []byte) (t metav1.TypeMeta) {
	dec := json.NewDecoder(bytes.NewReader(text[:min(len(text), typeLength)]))
	var words [5]json.Token
	for i := range words {
		var err error
		if words[i], err = dec.Token(); err != nil {
			return t
		}
	}
	version, _ := words[2].(string)
	kind, _ := words[4].(string)
	if words[1] == "apiVersion" && words[3] == "kind" {
		return metav1.TypeMeta{APIVersion: version, Kind: kind}
	}
	return t
}

// typeLength is how far the type of an object reaches, in bytes, with much to spare.
const typeLength = 256

// plain words an error of encoding/json for people who do not write Go.
func plain(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrong):
		return err.Error()
	case wrong.Field != "":
		return fmt.Sprintf("field %q cannot be a %s", wrong.Field, wrong.Value)
	case wrong.Value == "array":
		return bareList
	}
	return "it is a " + wrong.Value
}

// bareList is what is wrong with a list that stands where an object should.
const bareList = "it is a list: make it the items of a List (kind: List, apiVersion: v1), or write its objects one after the other"

// blank tells whether a text has nothing but space and comments.
func blank(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}
