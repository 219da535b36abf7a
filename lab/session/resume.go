package session

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"viplab/modes/catalog"
	"viplab/results"
)

// Begun tells whether a directory holds a run that [Session.Load] can go on with: its
// settings at least, since they are written first.
func Begun(dir string) bool {
	for _, name := range []string{results.ConfigFile, results.SamplesFile} {
		if _, err := results.ReadFile(dir, name); err == nil {
			return true
		}
	}
	return false
}

// Load takes the configuration of the run in Dir, and goes on with it. From then on no other
// process can write to Dir ([results.BusyError]), until Run or [Session.Release].
func (s *Session) Load() (err error) {
	if s.unlock, err = results.Lock(s.Dir); errors.Is(err, fs.ErrNotExist) {
		return &results.NoRunError{Dir: s.Dir}
	} else if err != nil {
		return err
	}
	if err := s.load(); err != nil {
		s.Release()
		return err
	}
	return nil
}

func (s *Session) load() error {
	run, err := results.Open(s.Dir)
	var none *results.NoRunError
	switch {
	case errors.As(err, &none) && Begun(s.Dir): // killed before there was a record
	case err != nil:
		return err
	case run.Schema != results.Schema:
		return &results.SchemaError{Dir: s.Dir, Schema: run.Schema}
	default:
		s.Resume, s.finished, s.warnings = true, run.Finished(), run.Warnings
	}
	maxTime := s.MaxTime
	if s.Config, err = writtenConfig(s.Dir, s.Modes); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("resume %s: it has no %s, which says how it is to go on: start a new run", s.Dir, results.ConfigFile)
	} else if err != nil {
		return fmt.Errorf("resume %s: its settings cannot be read: %w", s.Dir, err)
	}
	s.MaxTime = maxTime
	if s.Scenario != "" {
		return fmt.Errorf("resume %s: scenario %s was played there, which cannot be gone on with: play it again", s.Dir, s.Scenario)
	}
	if err := s.Validate(s.Modes); err != nil {
		return err
	}
	if run != nil {
		if err := s.same(run); err != nil {
			return err
		}
	}
	return s.takeCopy()
}

// writtenConfig reads the settings that a run wrote down. A file that says less is none of
// those: what it leaves out would be taken from the defaults.
func writtenConfig(dir string, known catalog.Catalog) (Config, error) {
	b, err := results.ReadFile(dir, results.ConfigFile)
	if err != nil {
		return Config{}, err
	}
	c, given, err := ReadConfig(bytes.NewReader(b), known)
	if err != nil {
		return c, fmt.Errorf("%s: %w", results.ConfigFile, err)
	}
	for _, key := range []string{"services", "endpoints", "ports", "modes", "testbed", "repeat", "seed", results.ConfigVariants} {
		if !slices.Contains(given, key) {
			return c, fmt.Errorf("%s is not what a run wrote: it does not say %s", results.ConfigFile, key)
		}
	}
	return c, nil
}

// same refuses settings that are not those of the records beside them.
func (s *Session) same(run *results.Run) error {
	possible := s.Config
	if s.Precision > 0 {
		possible.Repeat *= mostRounds
	}
	trials, err := possible.Trials(s.Modes)
	if err != nil {
		return err
	}
	asked := map[string]results.Variant{}
	for _, t := range trials {
		asked[t.ID] = t.Variant()
	}
	for _, r := range run.Records {
		if r.Trial == "" {
			continue // of the machine
		}
		v, ok := asked[r.Trial]
		if !ok || r.Variant.Mode() != "" && !maps.Equal(v, r.Variant) {
			return fmt.Errorf("resume %s: its %s is not that of its records: of trial %s there is %q, and it would make %q",
				s.Dir, results.ConfigFile, r.Trial, r.Variant.Key(), v.Key())
		}
	}
	return nil
}

// take makes the run directory, if it is not there, and keeps others from writing to it.
func (s *Session) take() error {
	if s.unlock != nil {
		return nil // since it was loaded
	}
	if err := os.MkdirAll(s.Dir, 0o777); err != nil {
		return fmt.Errorf("make the run directory: %w", err)
	}
	unlock, err := results.Lock(s.Dir)
	if err != nil {
		return err
	}
	s.unlock = unlock
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return fmt.Errorf("look into the run directory: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: another run has begun there meanwhile", s.Dir)
	}
	return nil
}

// Release lets others write to Dir. Run does it in the end.
func (s *Session) Release() {
	if s.unlock != nil {
		s.unlock()
		s.unlock = nil
	}
}
