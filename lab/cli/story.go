package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"viplab/lab/roles"
	"viplab/lab/session"
	"viplab/lab/tell"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/modes/packet/story"
)

// storyFlags are the flags of story.
type storyFlags struct {
	app
	names   []string // of modes
	params  map[string]*string
	testbed string
	kernel  string
	trace   bool
	format  string
}

func (a app) storyCommand() *cobra.Command {
	f := storyFlags{app: a, names: a.modes.Usual().Serving().Names(), params: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "story FILE...",
		Short: "Say what is to become of packets, and see in which modes that holds",
		Long: `story reads text files that name Services, packets, and what is to become of each
packet, and tells which of that holds, mode by mode: in the tracer, which needs no kernel
and no rights, or with --testbed with real packets too. The exit code is 1 if a story does
not hold.`,
		Example: `  viplab story my-services.txt
  viplab story my-services.txt --modes iptables,ipvs --testbed auto
  viplab story all --testbed uml          # the lab's own stories
  viplab story - < my-services.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("story needs a file of stories, or all for the lab's own")
			}
			return f.run(cmd, args)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.names, "modes", f.names, "modes to tell them in")
	for _, p := range a.modes.Params() {
		f.params[p.Name] = fl.String(p.Name, p.Default, paramHelp(p))
	}
	fl.StringVar(&f.testbed, "testbed", "", "send real packets in this testbed: auto, "+strings.Join(testbed.Names(), ", "))
	fl.StringVar(&f.kernel, "kernel", session.KernelAuto, "kernel of the guest, as viplab kernel list names it, or a path")
	fl.BoolVar(&f.trace, "trace", false, "tell them in the tracer (the default without --testbed)")
	fl.StringVar(&f.format, "format", "text", "text or json")
	return cmd
}

// ways are the two ways of telling a story.
const (
	byTracer  = "tracer"
	byPackets = "packets"
)

// told is what one way of telling came to.
type told struct {
	Way string `json:"way"`
	tell.Result
}

func (f *storyFlags) run(cmd *cobra.Command, files []string) error {
	if f.format != "text" && f.format != "json" {
		return usagef("unknown format %q: valid are text, json", f.format)
	}
	texts, books, err := readStories(files, cmd.InOrStdin())
	if err != nil {
		return usageError{err}
	}
	variants, err := f.variants(tell.FamilyOf(books))
	if err != nil {
		return usageError{err}
	}
	var all []told
	if f.testbed != "" {
		results, err := f.send(cmd, texts, books, variants)
		if err != nil {
			return err
		}
		for _, r := range results {
			all = append(all, told{byPackets, r})
		}
	}
	if f.testbed == "" || f.trace {
		results, err := tell.Trace(f.modes, variants, books)
		if err != nil {
			return usageError{err}
		}
		for _, r := range results {
			all = append(all, told{byTracer, r})
		}
	}
	if f.format == "json" {
		err = writeJSON(cmd.OutOrStdout(), all)
	} else {
		err = writeTold(cmd.OutOrStdout(), all)
	}
	if err != nil {
		return err
	}
	return judge(all)
}

// readStories reads files, "-" for standard input, "all" for the lab's own.
func readStories(files []string, stdin io.Reader) (texts []story.Text, books []story.Book, err error) {
	for _, file := range files {
		var more []story.Text
		switch file {
		case "all":
			own, err := story.Texts()
			if err != nil {
				return nil, nil, err
			}
			more = own
		case "-":
			b, err := io.ReadAll(io.LimitReader(stdin, maxStories+1))
			if err != nil {
				return nil, nil, fmt.Errorf("read stories from standard input: %w", err)
			}
			more = []story.Text{{Name: "standard input", Text: string(b)}}
		default:
			b, err := readSmall(file)
			if err != nil {
				return nil, nil, fmt.Errorf("read stories: %w", err)
			}
			more = []story.Text{{Name: filepath.Base(file), Text: string(b)}}
		}
		for _, t := range more {
			if len(t.Text) > maxStories {
				return nil, nil, fmt.Errorf("read stories: %s is larger than %d MB, which no file of stories is", file, maxStories>>20)
			}
			b, err := t.Read()
			if err != nil {
				return nil, nil, err
			}
			texts, books = append(texts, t), append(books, b)
		}
	}
	return texts, books, nil
}

// maxStories is the size of the largest file of stories, in bytes.
const maxStories = 4 << 20

// readSmall reads a file up to a little over [maxStories].
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxStories+1))
}

// variants are the modes with those of the arguments that they have parameters for.
func (f *storyFlags) variants(family modes.Family) (out []trial.Variant, err error) {
	for _, name := range f.names {
		m, err := f.modes.Find(name)
		if err != nil {
			return nil, err
		}
		if m.Baseline {
			return nil, fmt.Errorf("mode %s has no Services to tell stories of", name)
		}
		args := modes.Args{}
		for p, v := range f.params {
			if one, ok := m.Param(p); ok && *v != one.Default {
				args[p] = *v
			}
		}
		if err := m.CheckArgs(args, family); err != nil {
			return nil, err
		}
		out = append(out, trial.VariantOf(m, args, family))
	}
	return out, nil
}

// send tells the stories with real packets. Modes that nobody named and that the testbed
// cannot run are left out.
func (f *storyFlags) send(cmd *cobra.Command, texts []story.Text, books []story.Book, variants []trial.Variant) ([]tell.Result, error) {
	for _, b := range books {
		if err := tell.CheckFit(b); err != nil {
			return nil, usageError{err}
		}
	}
	tb, kept, err := f.place(cmd.Context(), cmd.Flags().Changed("modes"), variants, cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return tell.In(cmd.Context(), tb, roles.Stories, tell.Job{Variants: kept, Texts: texts})
}

// place finds a testbed, and says which variants can run there.
func (f *storyFlags) place(ctx context.Context, byName bool, variants []trial.Variant, stderr io.Writer) (testbed.Testbed, []trial.Variant, error) {
	c := session.Default(f.modes)
	c.Modes, c.Testbed, c.Kernels, c.Families = f.names, f.testbed, []string{f.kernel}, []string{string(variants[0].Family)}
	c.Params = map[string]session.Values{}
	for _, v := range variants {
		for name, value := range v.Args {
			c.Params[name] = session.Values{value}
		}
	}
	if err := c.Validate(f.modes); err != nil {
		return nil, nil, usageError{err}
	}
	s := f.session(c, byName)
	tb, why, err := s.Place(ctx)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(stderr, "testbed %s: %s\n", tb.Name(), why)
	for _, n := range s.Notes {
		fmt.Fprintln(stderr, n)
	}
	kept := slices.DeleteFunc(slices.Clone(variants), func(v trial.Variant) bool { return !slices.Contains(s.Config.Modes, v.Mode) })
	return tb, kept, nil
}

// judge is the error of stories that did not hold.
func judge(all []told) error {
	failed, count := 0, 0
	for _, r := range all {
		if r.Untold != "" {
			continue
		}
		if count++; r.Wrong != "" {
			failed++
		}
	}
	if failed > 0 {
		return thresholdError{fmt.Errorf("stories that did not hold: %d of %d", failed, count)}
	}
	if count == 0 {
		return usagef("no mode can tell any of these stories")
	}
	return nil
}

// writeTold writes a table of each book, and below it what did not hold and why.
func writeTold(w io.Writer, all []told) error {
	var columns, books []string
	cells := map[[3]string]told{}
	for _, r := range all {
		column := r.Mode + ", " + r.Way
		if !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
		if !slices.Contains(books, r.Book) {
			books = append(books, r.Book)
		}
		cells[[3]string{column, r.Book, r.Story}] = r
	}
	for _, b := range books {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(tw, "%s\t%s\n", b, strings.Join(columns, "\t"))
		for _, s := range storiesOf(all, b) {
			row := []string{s}
			for _, c := range columns {
				row = append(row, cells[[3]string{c, b, s}].cell(cells[[3]string{c, b, ""}]))
			}
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		for _, r := range all {
			if r.Book == b && r.Wrong+r.Untold != "" {
				fmt.Fprintf(w, "  %s, %s%s: %s\n", r.Mode, r.Way, strings.TrimSuffix(": "+r.Story, ": "), firstLine(r.Wrong+r.Untold))
			}
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}

// storiesOf lists the titles of a book.
func storiesOf(all []told, book string) (out []string) {
	for _, r := range all {
		if r.Book == book && r.Story != "" && !slices.Contains(out, r.Story) {
			out = append(out, r.Story)
		}
	}
	return out
}

// cell is a story in a table: whole is what became of its book, where that is known.
func (r told) cell(whole told) string {
	switch {
	case r.Wrong != "" || whole.Wrong != "":
		return "NOT"
	case whole.Untold != "":
		return "-"
	case r.Mode == "":
		return ""
	}
	return "holds"
}
