package results

// Part is one of the runs that a run was put together of, for one report of several.
type Part struct {
	// Name sets it apart from the others; it is empty for a run that is of no others.
	Name string
	Run  *Run
}

// All lists the runs that a run was put together of: itself, if it was not.
func (r *Run) All() []Part {
	if len(r.Parts) == 0 {
		return []Part{{Run: r}}
	}
	return r.Parts
}
