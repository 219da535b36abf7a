package results

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// packed lists the files that a packed run has: what was measured, and its report. The rest
// follows from them.
func packed() []string {
	return []string{ConfigFile, EnvFile, SamplesFile, SummaryFile, ReportMD, ReportHTML}
}

// Pack writes a run directory as a compressed archive, in a folder of the run's name. Plots
// and bench.txt are left out: "viplab report" makes them again. Links are not followed.
func Pack(w io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("pack run: %w", err)
	}
	defer root.Close()
	if info, err := root.Lstat(SamplesFile); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no run directory: it has no %s", dir, SamplesFile)
	}
	base, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("pack run: %w", err)
	}
	if base, err = filepath.Abs(base); err != nil {
		return fmt.Errorf("pack run: %w", err)
	}
	zip, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("pack run: %w", err)
	}
	out := tar.NewWriter(zip)
	for _, name := range packed() {
		if err := packFile(out, root, name, filepath.Base(base)+"/"+name); err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
	}
	return errors.Join(out.Close(), zip.Close())
}

// packFile adds a file, if it is there and is one.
func packFile(out *tar.Writer, root *os.Root, name, as string) error {
	info, err := root.Lstat(name)
	if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := out.WriteHeader(&tar.Header{Name: as, Mode: 0o644, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.CopyN(out, f, info.Size())
	return err
}
