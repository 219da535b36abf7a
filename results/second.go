package results

import "maps"

// SecondSchema is the format in which mode ipvs bound VIPs as addresses unless a variant
// said otherwise; all else is as today. Its runs can be read, but not gone on with.
const SecondSchema = "viplab/2"

// secondBind is the parameter whose default changed after that format, of mode ipvs.
const secondBind = "bind"

// lifted is a variant of the run as it is written today.
func (r *Run) lifted(v Variant) Variant {
	if v.Mode() != "ipvs" || r.Schema != FirstSchema && r.Schema != SecondSchema {
		return v
	}
	v = maps.Clone(v)
	switch v[secondBind] {
	case "":
		v[secondBind] = "address"
	case "route":
		delete(v, secondBind)
	}
	return v
}
