package results

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Listed is what a list of runs says of one, without reading its samples.
type Listed struct {
	// Name is that of its directory, Links those of links beside it that lead there.
	Name  string   `json:"name"`
	Links []string `json:"links,omitempty"`
	// Time is when it began; zero if that is not known.
	Time     time.Time `json:"time"`
	Testbed  string    `json:"testbed"`
	Modes    []string  `json:"modes"`
	Services []int     `json:"services"`
	// Bytes is how much room its files take.
	Bytes int64 `json:"bytes"`
}

// List lists the runs of a folder, the oldest first. What is no run directory is left out.
func List(dir string) ([]Listed, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	links := map[string][]string{}
	var out []Listed
	for _, e := range entries {
		switch {
		case e.Type() == fs.ModeSymlink:
			if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
				links[to] = append(links[to], e.Name())
			}
		case e.IsDir():
			if _, err := os.Lstat(filepath.Join(dir, e.Name(), SamplesFile)); err == nil {
				out = append(out, listed(filepath.Join(dir, e.Name())))
			}
		}
	}
	for i, l := range out {
		out[i].Links = links[l.Name]
	}
	slices.SortStableFunc(out, func(a, b Listed) int { return a.Time.Compare(b.Time) })
	return out, nil
}

// listed reads what is quickly read of a run.
func listed(dir string) Listed {
	out := Listed{Name: filepath.Base(dir)}
	var env Env
	if b, err := os.ReadFile(filepath.Join(dir, EnvFile)); err == nil && json.Unmarshal(b, &env) == nil {
		out.Time, out.Testbed = env.Time, env.Testbed
	}
	var config struct {
		Modes    []string `yaml:"modes"`
		Services []int    `yaml:"services"`
	}
	if b, err := os.ReadFile(filepath.Join(dir, ConfigFile)); err == nil && yaml.Unmarshal(b, &config) == nil {
		out.Modes, out.Services = config.Modes, config.Services
	}
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // what cannot be read takes no room that we know of
		}
		if info, err := e.Info(); err == nil {
			out.Bytes += info.Size()
		}
		return nil
	})
	return out
}

// NameTakenError says that a name is another run's.
type NameTakenError struct{ Name, Run string }

// Error implements error.
func (e *NameTakenError) Error() string {
	return fmt.Sprintf("the name %s is that of run %s already", e.Name, e.Run)
}

// unfit tells whether a character of a name would part it in lists and on command lines.
func unfit(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// NameRun makes a link of that name to a run of a folder, which serves as its name from
// then on. A name of another run that is still there is a [NameTakenError], unless it is to be
// moved.
func NameRun(dir, run, name string, move bool) error {
	if name == "" || name == LatestLink || strings.ContainsAny(name[:1], ".-") || strings.ContainsAny(name, `/\`) || strings.ContainsFunc(name, unfit) {
		return fmt.Errorf("a run cannot be named %q: a name has no slash and no space, begins with no dot and no dash, and is not %s", name, LatestLink)
	}
	// The latest, and one that has a name already, are named themselves, since links move on.
	target, err := filepath.EvalSymlinks(filepath.Join(dir, run))
	if err == nil && filepath.Base(run) == run {
		run = filepath.Base(target)
	}
	if info, err := os.Lstat(filepath.Join(dir, run, SamplesFile)); err != nil || !info.Mode().IsRegular() || filepath.Base(run) != run {
		return fmt.Errorf("there is no run %s in %s", run, dir)
	}
	if name == run {
		return fmt.Errorf("run %s has that name already", run)
	}
	link := filepath.Join(dir, name)
	if info, err := os.Lstat(link); err == nil {
		if info.Mode().Type() != fs.ModeSymlink {
			return fmt.Errorf("name run %s: %s is there already, and is no name", run, link)
		}
		to, err := os.Readlink(link)
		if err != nil {
			return fmt.Errorf("name run %s: %w", run, err)
		}
		if _, err := os.Stat(link); err == nil && to != run && !move {
			return &NameTakenError{name, to}
		}
		if err := os.Remove(link); err != nil {
			return fmt.Errorf("name run %s: %w", run, err)
		}
	}
	if err := os.Symlink(run, link); err != nil {
		return fmt.Errorf("name run %s: %w", run, err)
	}
	return nil
}

// nameTime is how the name of a run begins that nobody named.
const nameTime = "20060102T150405Z"

// NewName is the name of a run that nobody names, TIME-HASH: of the time when it begins and of
// what sets it apart from others of that second.
func NewName(at time.Time, apart []byte) string {
	sum := sha256.Sum256(apart)
	return at.UTC().Format(nameTime) + "-" + hex.EncodeToString(sum[:3])
}

// unnamed tells whether a name is of the form of [NewName].
func unnamed(name string) bool {
	at, hash, _ := strings.Cut(name, "-")
	_, err := time.Parse(nameTime, at)
	sum, hexErr := hex.DecodeString(hash)
	return err == nil && hexErr == nil && len(sum) == 3
}

// Prunable lists the runs of a folder that may be deleted where the newest keep stay: those
// that are not the latest, have no name, and whose folder nobody named otherwise.
func Prunable(list []Listed, keep int) []Listed {
	var out []Listed
	for i, l := range list {
		if i < len(list)-keep && len(l.Links) == 0 && unnamed(l.Name) {
			out = append(out, l)
		}
	}
	return out
}

// DeleteRun deletes a run of a folder. One that is being written is a [BusyError].
func DeleteRun(dir, run string) error {
	unlock, err := Lock(filepath.Join(dir, run))
	if err != nil {
		return err
	}
	defer unlock()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("delete run %s: %w", run, err)
	}
	defer root.Close()
	if err := root.RemoveAll(run); err != nil {
		return fmt.Errorf("delete run %s: %w", run, err)
	}
	return nil
}
