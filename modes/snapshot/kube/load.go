package kube

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"viplab/modes/plaintext"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// extensions are those of the files of a folder that are read.
var extensions = []string{".yaml", ".yml", ".json"}

// Loader reads objects.
type Loader struct {
	// Stdin is what [Stdin] stands for.
	Stdin io.Reader
	// Tee makes a copy of each file that is read, nil for none; name is the file's without
	// the folders that it lies in.
	Tee func(name string) (io.WriteCloser, error)
}

// Load is that of a [Loader] which makes no copies.
func Load(path string, stdin io.Reader) (*Objects, error) { return Loader{Stdin: stdin}.Load(path) }

// Load reads the objects of a file, of the YAML and JSON files of a folder (not of folders
// in it), or of standard input where the path is [Stdin].
func (l Loader) Load(path string) (*Objects, error) {
	o := &Objects{}
	if path == Stdin {
		return o, l.decode(o, "standard input", "stdin.yaml", l.Stdin)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read Kubernetes objects: %w", err)
	}
	if !info.IsDir() {
		return o, l.file(o, path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read Kubernetes objects: %w", err)
	}
	files := 0
	for _, e := range entries {
		if e.IsDir() || !slices.Contains(extensions, strings.ToLower(filepath.Ext(e.Name()))) {
			continue
		}
		files++
		if err := l.file(o, filepath.Join(path, e.Name())); err != nil {
			return nil, err
		}
	}
	if files == 0 {
		return nil, fmt.Errorf("read Kubernetes objects: folder %s has no file of %s", path, strings.Join(extensions, ", "))
	}
	return o, nil
}

func (l Loader) file(o *Objects, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read Kubernetes objects: %w", err)
	}
	defer f.Close()
	return l.decode(o, path, filepath.Base(path), f)
}

// decode decodes a stream, and copies it.
func (l Loader) decode(o *Objects, path, name string, r io.Reader) error {
	if l.Tee == nil {
		return o.Decode(path, r)
	}
	w, err := l.Tee(name)
	if err != nil {
		return fmt.Errorf("copy %s: %w", path, err)
	}
	return errors.Join(o.Decode(path, io.TeeReader(r, w)), w.Close())
}

// Decode adds the objects of a stream, YAML or JSON; name stands for it in errors. The
// error names the line and, where it is known, the object.
func (o *Objects) Decode(name string, r io.Reader) error {
	if o.sum == nil {
		o.sum = sha256.New()
	}
	in := bufio.NewReaderSize(plaintext.Reader(io.TeeReader(r, o.sum)), 1<<20)
	split, found := splitYAML, 0
	if jsonAhead(in) {
		split = func(r *bufio.Reader, yield func(item) error) error { return splitJSON(r, yield) }
	}
	b := &batch{into: o, file: name}
	done := false
	err := split(in, func(it item) error {
		found++
		if err := b.add(it); err != nil {
			done = true // the sentence is whole
			return err
		}
		return nil
	})
	if err != nil && done {
		return err
	}
	// What comes before the place where the text cannot be cut any more is wrong first.
	if first := b.flush(); first != nil {
		return first
	}
	if err != nil {
		return fmt.Errorf("%s, %w", name, err)
	}
	if found == 0 {
		return fmt.Errorf("%s: no Kubernetes object: it is empty", name)
	}
	return nil
}

// jsonAhead tells whether a stream begins with a JSON object, which needs the parser of
// JSON to be cut: YAML's takes it too, but only whole.
func jsonAhead(r *bufio.Reader) bool {
	for n := 1; ; n++ {
		start, err := r.Peek(n)
		if c := start[len(start)-min(len(start), 1):]; len(c) == 1 && !strings.ContainsRune(" \t\r\n", rune(c[0])) {
			return c[0] == '{'
		}
		if err != nil || errors.Is(err, bufio.ErrBufferFull) {
			return false
		}
	}
}
