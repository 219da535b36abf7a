package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"viplab/modes"
)

// keyring is where Debian's packages keep the keys of its archive. Signatures are
// checked with it, never with a key that came over the network.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// suites are the parts of Debian's archive that source is taken from: the oldest
// one that still gets security updates has 6.1 and 6.12, and backports to the
// current release have the newest one.
func suites() []string {
	const archive = "http://deb.debian.org/"
	return []string{
		archive + "debian bookworm main",
		archive + "debian-security bookworm-security main",
		archive + "debian trixie-backports main",
	}
}

// sourcePackage is what the names of packages with kernel source begin with; a
// version follows.
const sourcePackage = "linux-source-"

// apt is an apt of its own: its lists, its cache and its sources lie in one
// folder, and the system's are neither read nor changed.
type apt struct {
	dir string
	run runner
}

// sourcesText is the sources.list of the private apt.
func sourcesText() string {
	var b strings.Builder
	for _, s := range suites() {
		fmt.Fprintf(&b, "deb [signed-by=%s] %s\n", keyring, s)
	}
	return b.String()
}

// configText is the configuration of the private apt. Its folder is closed to
// others, so apt's own unprivileged user could not write there.
func (a apt) configText() string {
	return fmt.Sprintf(`APT::Default-Release "";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "%[1]s/lists";
Dir::Cache "%[1]s/cache";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
`, a.dir)
}

func (a apt) config() string { return filepath.Join(a.dir, "apt.conf") }

// update writes the configuration and fetches the lists of packages.
func (a apt) update(ctx context.Context) error {
	if _, err := os.Stat(keyring); err != nil {
		return &modes.MissingError{Need: "the keys of Debian's archive", Mend: "sudo apt-get install debian-archive-keyring", Err: err}
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o700); err != nil {
			return fmt.Errorf("set up apt: %w", err)
		}
	}
	for name, text := range map[string]string{"apt.conf": a.configText(), "sources.list": sourcesText()} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("set up apt: %w", err)
		}
	}
	// apt-get only warns of a list that it cannot verify, and goes on with none.
	out, err := a.run.output(ctx, a.dir, "apt-get", "-c", a.config(), "-q", "update", "--error-on=any")
	if err != nil {
		return aptError("fetch the lists of Debian's packages", out, err)
	}
	return nil
}

// aptError tells a signature that is not right from an archive out of reach.
func aptError(what, out string, err error) error {
	if err := toolError(what, out, err); modes.IsMissing(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	missing := &modes.MissingError{Need: "Debian's archive", Mend: "look at the network and try again, or use source of your own: viplab kernel build --source DIR",
		Err: fmt.Errorf("%s: %w: %s", what, err, aptCause(out))}
	for _, sign := range []string{"NO_PUBKEY", "not signed", "GPG error", "EXPKEYSIG", "BADSIG", "cannot be authenticated"} {
		if strings.Contains(out, sign) {
			missing.Need, missing.Mend = "a package of Debian's archive that can be verified", "sudo apt-get install --only-upgrade debian-archive-keyring"
		}
	}
	// A signature that holds says that this is a matter of the way here.
	for _, broken := range []string{"Hash Sum mismatch", "File has unexpected size"} {
		if strings.Contains(out, broken) {
			missing.Need, missing.Mend = "a package of Debian's archive that arrives as it was signed", "try again later; if it stays so, look at the proxy or the mirror on the way"
		}
	}
	return missing
}

// aptCause is the first of what apt complains of; its last line only sums up.
func aptCause(out string) string {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "W: ") || strings.HasPrefix(line, "E: ") {
			return strings.TrimSpace(line[3:])
		}
	}
	return lastLine(out)
}

// aptPackage is a package with kernel source.
type aptPackage struct {
	series  string // "7.3"
	version string // "7.3.4-1~bpo13+1"
}

func (p aptPackage) String() string { return sourcePackage + p.series + " " + p.version }

// find is the package of that series, or the newest one if it is empty.
func (a apt) find(ctx context.Context, series string) (aptPackage, error) {
	out, err := a.run.output(ctx, a.dir, "apt-cache", "-c", a.config(), "pkgnames", sourcePackage)
	if err != nil {
		return aptPackage{}, aptError("list kernel source", out, err)
	}
	all := parseNames(out)
	if len(all) == 0 {
		return aptPackage{}, aptError("list kernel source", out, fmt.Errorf("there is none"))
	}
	if series == "" {
		series = all[len(all)-1]
	}
	if !slices.Contains(all, series) {
		return aptPackage{}, &modes.MissingError{Need: "source of kernel " + series + " in Debian's archive, which has " + strings.Join(all, ", "),
			Mend: "viplab kernel build " + all[len(all)-1] + ", or --source DIR"}
	}
	out, err = a.run.output(ctx, a.dir, "apt-cache", "-c", a.config(), "madison", sourcePackage+series)
	if err != nil {
		return aptPackage{}, aptError("find kernel source", out, err)
	}
	version := parseMadison(out)
	if version == "" {
		return aptPackage{}, aptError("find kernel source", out, fmt.Errorf("%s%s has no version", sourcePackage, series))
	}
	return aptPackage{series, version}, nil
}

// parseNames reads the series, oldest first, out of names of packages.
func parseNames(out string) []string {
	var all []string
	for name := range strings.FieldsSeq(out) {
		series, ok := strings.CutPrefix(name, sourcePackage)
		if v, err := ParseVersion(series); ok && err == nil && v.String() == series {
			all = append(all, series)
		}
	}
	slices.SortFunc(all, compareText)
	return slices.Compact(all)
}

// parseMadison reads the version that apt would take, which is the first, out of
// the table that `apt-cache madison` prints.
func parseMadison(out string) string {
	for line := range strings.Lines(out) {
		if fields := strings.Split(line, "|"); len(fields) == 3 {
			return strings.TrimSpace(fields[1])
		}
	}
	return ""
}

// download fetches the package into the folder, verifies it, and returns the
// file's path.
func (a apt) download(ctx context.Context, p aptPackage, dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("fetch %s: %w", p, err)
	}
	out, err := a.run.output(ctx, dir, "apt-get", "-c", a.config(), "-q", "download", sourcePackage+p.series+"="+p.version)
	if err != nil {
		return "", aptError("fetch "+p.String(), out, err)
	}
	found, _ := filepath.Glob(filepath.Join(dir, sourcePackage+p.series+"_*.deb"))
	if len(found) != 1 {
		return "", fmt.Errorf("fetch %s: apt-get left %d files", p, len(found))
	}
	return found[0], nil
}
