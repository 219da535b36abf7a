// Viplab is a benchmark and simulation lab for Kubernetes-style Service load
// balancing, from userspace to kernel.
package main

import (
	"os"

	"viplab/lab/cli"
	"viplab/lab/roles"
	"viplab/modes/catalog"
)

func main() {
	known := catalog.Known()
	roles.Dispatch(known)
	os.Exit(cli.Run(known, os.Args[1:], os.Stdout, os.Stderr))
}
