// Mine is viplab with one more mode, from a repository of its own.
package main

import (
	"os"

	"viplab/lab/cli"
	"viplab/lab/roles"
	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/pipe"
)

func main() {
	known := append(catalog.All(), mine())
	roles.Dispatch(known)
	os.Exit(cli.Run(known, os.Args[1:], os.Stdout, os.Stderr))
}

// mine is a mode that is a program.
func mine() modes.Mode {
	limits := modes.Limits{modes.ServesIPv6: "not written yet"}
	return modes.Mode{
		Name: "mine", Summary: "my own proxy", DataPath: "O(1)", Limits: limits,
		New: func(a modes.Args, m modes.Machine) modes.Proxier {
			return pipe.New(pipe.Options{Mode: "mine", Command: []string{"my-proxy"}, Args: a, Family: m.Family, Limits: limits})
		},
	}
}
