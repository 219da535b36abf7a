package advice

import (
	"slices"

	"viplab/modes"
)

// Abilities is what each of some modes can do and not all of them can, as a table: the
// names of the modes, then a row an ability. A mode that is not known has a question mark.
func Abilities(known []modes.Mode, names []string) [][]string {
	rows := [][]string{append([]string{"ability"}, names...)}
	for _, a := range modes.Abilities() {
		row, same := []string{string(a)}, true
		for _, name := range names {
			can := "?"
			if i := slices.IndexFunc(known, func(m modes.Mode) bool { return m.Name == name }); i >= 0 {
				can = "yes"
				if _, lacks := known[i].Limits[a]; lacks {
					can = "no"
				}
			}
			row = append(row, can)
			same = same && can == row[1]
		}
		if !same {
			rows = append(rows, row)
		}
	}
	return rows
}
