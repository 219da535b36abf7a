package modes

// Caveat is something that figures of a mode do not say, or say otherwise than those of
// the data plane that the mode stands for: a sentence or more, for people.
type Caveat struct {
	// When is the arguments that it is about; empty for all.
	When Args
	Text string
}

// CaveatsOf lists what a reader of figures of the mode with some arguments must know.
func (m Mode) CaveatsOf(a Args) []string {
	var out []string
	for _, c := range m.Caveats {
		holds := true
		for name, v := range c.When {
			holds = holds && m.Arg(a, name) == v
		}
		if holds {
			out = append(out, c.Text)
		}
	}
	return out
}
