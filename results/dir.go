package results

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"gopkg.in/yaml.v3"
)

// Names of the files of a run directory.
const (
	ConfigFile  = "config.yaml"
	EnvFile     = "env.json"
	SamplesFile = "samples.jsonl"
	SummaryFile = "summary.json"
	BenchFile   = "bench.txt"
	ReportMD    = "report.md"
	ReportHTML  = "report.html"
	PlotsDir    = "plots"
	LatestLink  = "latest"
)

// header is the first line of samples.jsonl.
type header struct {
	Schema string `json:"schema"`
}

// Writer appends records to a run directory.
type Writer struct {
	Dir string
	f   *os.File
}

// Create makes a run directory and its samples file. The directory may exist,
// but must hold no samples yet.
func Create(dir string) (*Writer, error) {
	in, err := makeFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("create run directory: %w", err)
	}
	defer in.close()
	f, err := in.create(SamplesFile)
	if err != nil {
		return nil, fmt.Errorf("create run directory: %w", err)
	}
	w := &Writer{Dir: dir, f: f}
	if err := w.line(header{Schema}); err != nil {
		return nil, err
	}
	return w, nil
}

// SchemaError says that a run is of a format that this program does not write, so that
// it cannot be gone on with.
type SchemaError struct{ Dir, Schema string }

// Error implements error.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("%s was written in format %s, which this viplab reads but does not go on with: start a new run "+
		"(it writes %s)", e.Dir, e.Schema, Schema)
}

// Resume opens the samples file of a run directory to append to it. A line that
// a kill cut off is ended, so that it costs itself only. A run of another format is a
// [SchemaError].
func Resume(dir string) (*Writer, error) {
	in, err := openFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("resume run: %w", err)
	}
	defer in.close()
	f, err := in.open(SamplesFile, os.O_RDWR|os.O_APPEND)
	if err != nil {
		return nil, fmt.Errorf("resume run: %w", err)
	}
	first, err := bufio.NewReader(io.NewSectionReader(f, 0, 1<<10)).ReadString('\n')
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("resume run: %w", err)
	}
	var h header
	if json.Unmarshal([]byte(first), &h) != nil || h.Schema != Schema {
		f.Close()
		return nil, &SchemaError{dir, h.Schema}
	}
	w := &Writer{Dir: dir, f: f}
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("resume run: %w", err)
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, st.Size()-1); err != nil {
		return nil, fmt.Errorf("resume run: %w", err)
	}
	if last[0] != '\n' {
		if _, err := f.Write([]byte{'\n'}); err != nil {
			return nil, fmt.Errorf("resume run: %w", err)
		}
	}
	return w, nil
}

// Add appends one record.
func (w *Writer) Add(r Record) error { return w.line(r) }

func (w *Writer) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if _, err := w.f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// Close ends the samples file.
func (w *Writer) Close() error {
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("write records to disk: %w", err)
	}
	return w.f.Close()
}

// WriteYAML writes a value as a file of the run directory.
func WriteYAML(dir, name string, v any) error {
	b, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return WriteFile(dir, name, b)
}

// WriteJSON writes a value as a file of the run directory.
func WriteJSON(dir, name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return WriteFile(dir, name, append(b, '\n'))
}

// Run is a run directory that was read.
type Run struct {
	Dir string
	// Schema is the format that the run was written in. Records are of today's,
	// whatever it is.
	Schema  string
	Config  map[string]any
	Env     Env
	Records []Record
	// Warnings say what was damaged or missing, for people.
	Warnings []string
	// Parts are the runs that this one was put together of, if it was; see [Run.All].
	Parts []Part
	// Home is where the records are, if that is not Dir; see [Run.Source].
	Home string
}

// Source is the directory of the records.
func (r *Run) Source() string { return cmp.Or(r.Home, r.Dir) }

// NoRunError says that a directory holds no run, or is not there.
type NoRunError struct{ Dir string }

// Error implements error.
func (e *NoRunError) Error() string {
	return fmt.Sprintf("%s is no run directory: it has no %s", e.Dir, SamplesFile)
}

// Open reads a run directory, or is a [NoRunError]. Lines of the samples file that are damaged (the
// last one of a run that was killed) cost themselves only and become warnings, and so
// do metrics that this program does not know.
func Open(dir string) (*Run, error) {
	in, err := openFolder(dir)
	if err == nil {
		defer in.close()
	} else if errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%s is no run directory, but a file", dir)
	}
	var f *os.File
	if err == nil {
		f, err = in.open(SamplesFile, os.O_RDONLY)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, &NoRunError{dir}
	}
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	defer f.Close()
	run := &Run{Dir: dir}
	if err := run.read(f); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, SamplesFile), err)
	}
	run.warnUnknown()
	if b, err := in.read(EnvFile); err != nil {
		run.warn("the environment is not known: %v", err)
	} else if err := json.Unmarshal(b, &run.Env); err != nil {
		run.warn("the environment cannot be read: %v", err)
	}
	if b, err := in.read(ConfigFile); err != nil {
		run.warn("the configuration is not known: %v", err)
	} else if err := yaml.Unmarshal(b, &run.Config); err != nil {
		run.warn("the configuration cannot be read: %v", err)
	}
	return run, nil
}

func (r *Run) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

func (r *Run) read(src io.Reader) error {
	in := bufio.NewReaderSize(src, 1<<20)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		text := strings.TrimSpace(string(line))
		if n == 1 {
			var h header
			if json.Unmarshal([]byte(text), &h) != nil || !strings.HasPrefix(h.Schema, "viplab/") {
				return errors.New("the first line names no schema: not written by viplab")
			}
			if known := []string{Schema, SecondSchema, FirstSchema}; !slices.Contains(known, h.Schema) {
				return fmt.Errorf("schema %s is none of those that this viplab reads (%s)", h.Schema, strings.Join(known, ", "))
			}
			r.Schema = h.Schema
		} else if text != "" {
			r.parse(n, text)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *Run) parse(n int, text string) {
	rec, err := r.decode(text)
	if err != nil {
		r.warn("line %d of %s is damaged and was left out", n, SamplesFile)
		return
	}
	if err := rec.Fault(); err != nil {
		r.warn("the record in line %d of %s %v, and was set aside", n, SamplesFile, err)
		return
	}
	if rec.Metric == Begin {
		r.Records = slices.DeleteFunc(r.Records, func(o Record) bool { return o.Trial == rec.Trial })
		return
	}
	r.Records = append(r.Records, rec)
}

func (r *Run) decode(text string) (Record, error) {
	var rec Record
	var err error
	if r.Schema == FirstSchema {
		var f firstRecord
		err = json.Unmarshal([]byte(text), &f)
		rec = f.lift()
	} else {
		err = json.Unmarshal([]byte(text), &rec)
	}
	rec.Variant = r.lifted(rec.Variant)
	return rec, err
}

// warnUnknown names the metrics that this program does not know, once each.
func (r *Run) warnUnknown() {
	seen := map[string]bool{}
	for _, rec := range r.Records {
		if !rec.Sample() || seen[rec.Metric] {
			continue
		}
		seen[rec.Metric] = true
		if _, ok := FindMetric(rec.Metric); !ok {
			r.warn("metric %s is not known to this viplab: it is shown without a unit, and no change of it is for the worse", rec.Metric)
		}
	}
}

// Finished is the IDs of the trials that ended well.
func (r *Run) Finished() map[string]bool {
	out := map[string]bool{}
	for _, rec := range r.Records {
		if rec.Metric == Done && rec.Err == "" {
			out[rec.Trial] = true
		}
	}
	return out
}
