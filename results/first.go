package results

// FirstSchema is the first format: one map of factors, with the defaults written out.
// Its runs can be read, but not gone on with.
const FirstSchema = "viplab/1"

// firstRecord is a record of that format.
type firstRecord struct {
	Record
	Factors map[string]string `json:"factors"`
}

// firstKeys are the factors of that format which belong to the variant, by their names
// of today.
func firstKeys() map[string]string {
	out := map[string]string{"tracking": "conntrack"}
	for _, k := range []string{
		Mode, Testbed, Endpoints, Ports, Family, Weights, Affinity, Policies, Packets, RunName,
		"fanout", "sync", "backend", "bind", "scheduler", "forward", "lookup",
	} {
		out[k] = k
	}
	return out
}

// firstDefaults are what an absent key stood for when that format was written. They
// stay as they were, whatever the defaults of today are.
func firstDefaults() map[string]string {
	return map[string]string{
		"sync": "partial", "backend": "legacy", "bind": "address", "scheduler": "rr", "forward": "nat", "lookup": "ipset",
		"conntrack": "on", "fanout": "8", Family: "ipv4", Policies: "0", Packets: "new",
	}
}

// lift makes a record of today of it.
func (f firstRecord) lift() Record {
	r := f.Record
	if r.Metric == Environment || len(f.Factors) == 0 {
		r.Factors = f.Factors
		return r
	}
	keys, defaults := firstKeys(), firstDefaults()
	r.Factors = map[string]string{}
	v := Variant{}
	for k, value := range f.Factors {
		if name, ok := keys[k]; !ok {
			r.Factors[k] = value
		} else if defaults[name] != value {
			v[name] = value
		}
	}
	if _, ok := v[Policies]; !ok {
		delete(v, Packets) // no rules, so no packets cross them
	}
	if len(v) > 0 {
		r.Variant = v
	}
	return r
}
