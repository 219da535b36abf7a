package cli

import (
	"io"

	"github.com/spf13/pflag"

	"viplab/lab/cluster"
)

// clusterFlags say which cluster's Services to take.
type clusterFlags struct {
	from, node string
	ranges     []string // of the pods
}

func (f *clusterFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&f.from, "from", "", "take the Services from Kubernetes objects in this file, folder, or - (kubectl get services,endpointslices -A -o yaml)")
	fl.StringVar(&f.node, "node", "", "with --from: the node whose view is taken (default: that with the most endpoints)")
}

func (f *clusterFlags) read(stdin io.Reader) (cluster.Cluster, error) {
	return cluster.Read(cluster.Source{Path: f.from, Node: f.node, Stdin: stdin})
}
