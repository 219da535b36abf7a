package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"viplab/lab/cluster"
	"viplab/lab/session"
)

// registerFrom makes the flags that name a cluster.
func registerFrom(fl *pflag.FlagSet, from, node *string) {
	fl.StringVar(from, "from", *from, "take the Services from Kubernetes objects in this file, folder, or - (kubectl get services,endpointslices -A -o yaml)")
	fl.StringVar(node, "node", *node, "with --from: the node whose view is taken (default: that with the most endpoints)")
}

// clusterFlags say which cluster's Services to take.
type clusterFlags struct {
	from, node string
	ranges     []string // of the pods
	cluster    cluster.Cluster
}

func (f *clusterFlags) register(fl *pflag.FlagSet) {
	registerFrom(fl, &f.from, &f.node)
}

func (f *clusterFlags) read(stdin io.Reader) (cluster.Cluster, error) {
	return cluster.Read(cluster.Source{Path: f.from, Node: f.node, Stdin: stdin})
}

// sizes is the flag of sizes: numbers, or multiples of a cluster.
type sizes struct{ c *session.Config }

// Set takes a list separated by commas.
func (s *sizes) Set(text string) error { return s.Replace(strings.Split(text, ",")) }

// Type names the values in the help.
func (s *sizes) Type() string { return "sizes" }

// String is the list as Set reads it.
func (s *sizes) String() string {
	if s.c == nil {
		return "" // as pflag asks for, to see whether the default is the zero value
	}
	return strings.Join(s.GetSlice(), ",")
}

// Append is of [pflag.SliceValue], as are the next two.
func (s *sizes) Append(text string) error { return s.Replace(append(s.GetSlice(), text)) }

// Replace sets the list.
func (s *sizes) Replace(list []string) error {
	services, times, err := session.ParseSizes(list)
	if err != nil {
		return err
	}
	s.c.Services, s.c.Times = services, times
	return nil
}

// GetSlice is the list.
func (s *sizes) GetSlice() (out []string) {
	for _, n := range s.c.Times {
		out = append(out, fmt.Sprintf("%dx", n))
	}
	if len(out) > 0 {
		return out
	}
	for _, n := range s.c.Services {
		out = append(out, fmt.Sprint(n))
	}
	return out
}

// checkInput says which flags a user's cluster leaves no room for.
func (f *benchFlags) checkInput(changed func(string) bool) error {
	if f.From == "" {
		if len(f.Times) > 0 {
			return usagef("services: multiples such as %dx are of a cluster: name it by --from", f.Times[0])
		}
		return nil
	}
	for _, name := range []string{"endpoints", "ports", "weights", "affinity", "up-to"} {
		if changed(name) {
			return usagef("--from and --%s exclude each other: the cluster says it", name)
		}
	}
	if changed("services") && len(f.Times) == 0 {
		return usagef("--services are multiples with --from, such as 1x,4x,16x")
	}
	f.Services = []int{1} // until the cluster is read
	return nil
}

func (f *benchFlags) registerInput(fl *pflag.FlagSet) { registerFrom(fl, &f.From, &f.Node) }

// takeInput reads the cluster of a session, if it has one, and says what it is. What was
// made of the run directory goes if it is wrong.
func takeInput(cmd *cobra.Command, s *session.Session, anyFamily bool) error {
	if err := s.TakeInput(cmd.InOrStdin(), anyFamily); err != nil {
		_ = unix.Rmdir(s.Dir) // only if it is empty, and no link
		return usageError{err}
	}
	return s.WriteInput(cmd.ErrOrStderr())
}
