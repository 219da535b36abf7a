package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"viplab/lab/cluster"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/results"
)

// Input is a user's own cluster, in the place of synthetic Services.
type Input struct {
	// From is the file or folder of Kubernetes objects, or "-" for standard input;
	// empty for synthetic Services.
	From string `yaml:"from,omitempty"`
	// Node is whose view of the cluster is taken, that with the most endpoints if empty.
	Node string `yaml:"node,omitempty"`
	// Times is how often each Service is there, for each size; none stands for once.
	Times []int `yaml:"times,omitempty"`

	cluster *cluster.Cluster
}

// InputWritten is what a run adds to its configuration about its input.
type InputWritten struct {
	// Digest is the SHA-256 sum of what was read.
	Digest string `yaml:"input-digest,omitempty"`
	// For lists the modes that must be able to serve each Service, with those of their
	// arguments that are not the default ("ipvs lookup=rules"): those that were asked for,
	// also where the testbed lacked what one of them needs.
	For []string `yaml:"input-for,omitempty"`
}

// Files of a run directory about its input.
const (
	// InputFolder has a copy of what was read, for the run to be resumed or run again.
	InputFolder = "input"
	// InputFile says what of it is not used, and which addresses were replaced.
	InputFile = "input.txt"
)

// TakeInput reads the user's cluster that the configuration names, if it names one, with a
// copy in the run directory, which is this run's from then on. Sizes and families are then
// its own; anyFamily takes those that it has.
func (s *Session) TakeInput(stdin io.Reader, anyFamily bool) error {
	if s.From == "" {
		return nil
	}
	if err := s.take(); err != nil {
		return err
	}
	s.From = cluster.Named(s.From) // trials and the configuration name it, wherever they are read
	c, err := cluster.Read(cluster.Source{Path: s.From, Node: s.Node, Stdin: stdin, Copy: s.InputFolder()})
	if err == nil {
		if anyFamily {
			s.Families = []string{string(c.Families())}
		}
		if s.For, err = s.servers(); err == nil {
			err = s.use(c)
		}
	}
	if err != nil {
		s.Release()
		return errors.Join(err, os.RemoveAll(s.InputFolder()))
	}
	return nil
}

// takeCopy reads the run's copy of its input, if it had any.
func (s *Session) takeCopy() error {
	if s.From == "" {
		return nil
	}
	path := cluster.Copied(s.InputFolder())
	if path == "" {
		return fmt.Errorf("resume %s: its copy of %s is gone", s.Dir, s.From)
	}
	c, err := cluster.Read(cluster.Source{Path: path, Node: s.Node})
	if err != nil {
		return fmt.Errorf("resume %s: %w", s.Dir, err)
	}
	if c.Digest != s.Digest {
		return fmt.Errorf("resume %s: its copy of %s was changed", s.Dir, s.From)
	}
	return s.use(c)
}

// use takes a cluster as what is measured: what all modes can serve of it, in the lab's
// network.
func (s *Session) use(c cluster.Cluster) error {
	c.KeepFamilies(modes.Family(s.Families[0]))
	var asked []cluster.Asked
	for _, text := range s.For {
		m, err := s.server(text)
		if err != nil {
			return fmt.Errorf("%s: %w", s.From, err)
		}
		if !m.Baseline {
			asked = append(asked, m)
		}
	}
	c.Keep(asked...)
	if len(c.Snapshot.Services) == 0 {
		return fmt.Errorf("%s: no Service is left that all of %v can serve: %s", s.From, s.For, c.LeftOut[len(c.LeftOut)-1])
	}
	if err := c.Move(); err != nil {
		return fmt.Errorf("%s: %w", s.From, err)
	}
	s.Digest, s.cluster = c.Digest, &c
	return s.measured()
}

// servers lists what InputWritten.For does.
func (s *Session) servers() (out []string, err error) {
	all, err := s.variants(s.Modes)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		text := v.mode.Name
		if len(v.args) > 0 {
			text += " " + v.args.String()
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out, nil
}

// server reads one of InputWritten.For.
func (s *Session) server(text string) (cluster.Asked, error) {
	name, rest, _ := strings.Cut(text, " ")
	m, err := s.Modes.Find(name)
	args := modes.Args{}
	for _, word := range strings.Fields(rest) {
		key, value, _ := strings.Cut(word, "=")
		args[key] = value
	}
	return cluster.Asked{Mode: m, Args: args}, err
}

// InputFolder is where the run's copy of its input is.
func (s *Session) InputFolder() string { return filepath.Join(s.Dir, InputFolder) }

// measured takes what the cluster is as what is measured, and proves that each size of it
// can be made.
func (s *Session) measured() error {
	if len(s.Times) == 0 {
		s.Times = []int{1}
	}
	s.Endpoints, s.Ports = s.cluster.Mean()
	s.Services = nil
	for _, times := range s.Times {
		n := s.cluster.Count() * times
		s.Services = append(s.Services, n)
		if _, err := s.input(times).Set(s.cluster.Snapshot, modes.Family(s.Families[0])); err != nil {
			return fmt.Errorf("%s: %w", s.From, err)
		}
	}
	return nil
}

// input is the cluster as trials name it.
func (c Config) input(times int) *trial.Input {
	in := &trial.Input{Name: filepath.Base(c.From) + "@" + c.Digest[:min(8, len(c.Digest))], Times: times}
	if c.Script != nil {
		in.Extra, in.Weights = c.Script.Endpoints, c.Weights
	}
	return in
}

// inputAt is the input of trials at a size, nil for synthetic Services.
func (c Config) inputAt(services int) *trial.Input {
	if c.From == "" {
		return nil
	}
	i := slices.Index(c.Services, services)
	return c.input(c.Times[i])
}

// validate says what is wrong with what is asked of a user's cluster.
func (in Input) validate(c Config, known catalog.Catalog) error {
	if in.From == "" {
		if len(in.Times) > 0 || in.Node != "" {
			return fmt.Errorf("times and node are for services out of --from")
		}
		return nil
	}
	for i, n := range in.Times {
		if n < 1 || n > maxTimes {
			return fmt.Errorf("services: a cluster is taken 1 to %d times, got %dx", maxTimes, n)
		}
		if slices.Contains(in.Times[:i], n) {
			return fmt.Errorf("services: %dx is given twice", n)
		}
	}
	if len(c.Families) != 1 {
		return fmt.Errorf("family: services out of --from have one, or dual, got %v", c.Families)
	}
	all, err := c.variants(known)
	if err != nil {
		return err
	}
	for _, v := range all {
		if v.mode.TraitsOf(v.args).DirectServerReturn {
			return fmt.Errorf("mode %s with %s needs endpoints on the Service's own port, which those out of --from do not have", v.mode.Name, v.args)
		}
	}
	return nil
}

// maxTimes bounds how often a cluster is taken.
const maxTimes = 1000

// WriteInput says for people what was read; it writes nothing where nothing was.
func (s *Session) WriteInput(w io.Writer) error {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.Write(w)
}

// describeInput writes down what of the input is not used, and what was changed.
func (s *Session) describeInput() error {
	if s.cluster == nil {
		return nil
	}
	var b bytes.Buffer
	if err := s.cluster.WriteAll(&b); err != nil {
		return err
	}
	return results.WriteFile(s.Dir, InputFile, b.Bytes())
}

// services are the user's own, for trials; nil where they are synthetic.
func (s *Session) services() *modes.Snapshot {
	if s.cluster == nil {
		return nil
	}
	return &s.cluster.Snapshot
}
