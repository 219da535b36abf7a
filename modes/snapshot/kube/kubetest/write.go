package kubetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// Format is how objects are written.
type Format string

// Formats: as "kubectl get -o yaml" and "-o json" print them, and as many documents.
const (
	YAML      Format = "yaml"
	JSON      Format = "json"
	Documents Format = "documents"
)

// Formats lists them.
func Formats() []Format { return []Format{YAML, JSON, Documents} }

// Write writes a cluster's objects.
func (s Spec) Write(out io.Writer, f Format) error {
	w := &writer{Writer: bufio.NewWriterSize(out, 1<<16), format: f}
	w.text(map[Format]string{YAML: "apiVersion: v1\nitems:\n", JSON: "{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n"}[f])
	if err := s.Objects(w.object); err != nil {
		return err
	}
	w.text(map[Format]string{YAML: "kind: List\nmetadata:\n  resourceVersion: \"\"\n",
		JSON: "\n    ],\n    \"kind\": \"List\",\n    \"metadata\": {\n        \"resourceVersion\": \"\"\n    }\n}\n"}[f])
	if w.err != nil {
		return fmt.Errorf("write objects: %w", w.err)
	}
	return w.Flush()
}

type writer struct {
	*bufio.Writer
	format Format
	count  int
	err    error
}

func (w *writer) text(s string) {
	if _, err := w.WriteString(s); err != nil && w.err == nil {
		w.err = err
	}
}

func (w *writer) object(o any) error {
	w.count++
	if w.format == JSON {
		b, err := json.MarshalIndent(o, "        ", "    ")
		if w.count > 1 {
			w.text(",\n")
		}
		w.text("        " + string(b))
		return err
	}
	b, err := yaml.Marshal(o)
	if w.format == Documents {
		w.text("---\n" + string(b))
		return err
	}
	for i, line := range bytes.SplitAfter(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) {
		dash := "  "
		if i == 0 {
			dash = "- "
		}
		w.text(dash + string(line))
	}
	w.text("\n")
	return err
}
