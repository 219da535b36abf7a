// Viplab is a benchmark and simulation lab for Kubernetes-style Service load
// balancing, from userspace to kernel.
package main

import (
	"os"

	"viplab/lab/cli"
	"viplab/lab/roles"
)

func main() {
	roles.Dispatch()
	os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
}
