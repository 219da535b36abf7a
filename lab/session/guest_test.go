package session

import (
	"slices"
	"strings"
	"testing"

	"viplab/modes/catalog"
	"viplab/results"
)

// TestGuests: kernels by processors are compared, each trial in its own guest with an ID of
// its own, and one processor is no factor.
func TestGuests(t *testing.T) {
	c := Default(catalog.All())
	c.Modes, c.Services, c.Repeat, c.Testbed = []string{"direct"}, []int{1}, 1, "uml"
	c.Kernels, c.CPUs = []string{"a", "b"}, []int{1, 2}
	if err := c.Validate(catalog.All()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tr := range trialsOf(t, c) {
		got = append(got, tr.ID+" "+tr.Variant()[results.Kernel]+" "+tr.Variant()[results.CPUs])
	}
	slices.Sort(got)
	want := []string{"direct-n1-r0-ka-c1 a ", "direct-n1-r0-ka-c2 a 2", "direct-n1-r0-kb-c1 b ", "direct-n1-r0-kb-c2 b 2"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for want, change := range map[string]func(*Config){
		"1 to 8":        func(c *Config) { c.CPUs = []int{9} },
		"twice":         func(c *Config) { c.CPUs = []int{2, 2} },
		"none given":    func(c *Config) { c.CPUs = nil },
		"machine's":     func(c *Config) { c.Testbed, c.Kernels = "native", []string{KernelAuto} },
		"guests of one": func(c *Config) { c.TimeTravel = true },
	} {
		bad := c
		change(&bad)
		if err := bad.Validate(catalog.All()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
