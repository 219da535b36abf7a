package kernel

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed uml.config
var fragment string

// timeTravelLine lets time pass by itself, which a kernel for several processors cannot.
const timeTravelLine = "CONFIG_UML_TIME_TRAVEL_SUPPORT=y\n"

// MaxCPUs is how many processors a guest can have.
const MaxCPUs = 8

// smpLines ask for several processors, at most [MaxCPUs].
const smpLines = "CONFIG_NR_CPUS=8\nCONFIG_SMP=y\n"

// Fragment is what is asked of a kernel beside `allnoconfig`, by purpose, in the
// form of a .config file. With smp it is one for several processors.
func Fragment(smp bool) string {
	if smp {
		return strings.Replace(fragment, timeTravelLine, smpLines, 1)
	}
	return fragment
}

// wanted lists the symbols that a configuration sets, in its order: "CONFIG_X=y".
func wanted(config string) []string {
	var out []string
	for line := range strings.Lines(config) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// lacking lists the symbols that the fragment asks for and the configuration that
// Kconfig made of it does not have: those that this version does not know, or
// whose conditions it does not meet.
func lacking(fragment, config string) []string {
	have := wanted(config)
	slices.Sort(have)
	var out []string
	for _, line := range wanted(fragment) {
		if _, ok := slices.BinarySearch(have, line); !ok {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "CONFIG_"), "=")
			out = append(out, name)
		}
	}
	return out
}
