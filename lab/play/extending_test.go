package play

import (
	"strings"
	"testing"
	"time"

	"viplab/modes/catalog"
)

// nod waits for as many seconds as it is told, and says so.
func nod() step {
	return step{
		name: "nod", usage: "N", help: "nothing happens for N seconds", parse: count,
		do: func(p *player, s Step) error {
			p.write("# a nod")
			p.sleep(time.Duration(s.N) * time.Second)
			return nil
		},
	}
}

// TestOneMoreStep reads the example of docs/extending.md as a script would be.
func TestOneMoreStep(t *testing.T) {
	k := nod()
	s := Step{Do: k.name}
	if err := k.parse(&s, []string{"3"}); err != nil || s.N != 3 || k.wordCount() != 1 {
		t.Errorf("%+v, %v, %d words", s, err, k.wordCount())
	}
	if err := k.parse(&s, []string{"often"}); err == nil {
		t.Error("no number was taken for one")
	}
	if _, err := Read("x", strings.NewReader("nod 3"), catalog.All()); err == nil {
		t.Error("a step that is not in the list was read")
	}
}

// TestStepsAreWhole: every step that can be read can be done.
func TestStepsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range steps() {
		if k.do == nil || k.help == "" || seen[k.name] || k.usage != "" && k.parse == nil {
			t.Errorf("step %s is not whole", k.name)
		}
		seen[k.name] = true
	}
	if len(seen) < 17 {
		t.Errorf("%d steps", len(seen))
	}
}
