package session

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"gopkg.in/yaml.v3"

	"viplab/modes/catalog"
)

// oldKeys are names that keys of the configuration had before they were those of the
// flags.
func oldKeys() map[string]string {
	return map[string]string{
		"rounds": "repeat", "churn_for": "churn-for", "min_sync_period": "min-sync-period", "max_time": "max-time", "backends": "backend",
		"binds": "bind", "policy_packets": "policy-packets", "plain_rules": "plain-rules", "schedulers": "scheduler", "forwards": "forward",
		"lookups": "lookup", "families": "family", "tracking": "conntrack", "sample_limit": "sample-limit", "sync_limit": "sync-limit",
	}
}

// ReadConfig reads a configuration over the defaults. Keys are names of flags and of the
// modes' parameters; unknown ones are an error, and so is a second document. given lists
// those that the file has.
func ReadConfig(r io.Reader, known catalog.Catalog) (c Config, given []string, err error) {
	c = Default(known)
	dec := yaml.NewDecoder(r)
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return c, nil, errors.New("it is empty")
	} else if err != nil {
		return c, nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return c, nil, errors.New("it holds more than one document")
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode || len(top.Content) == 0 {
		return c, nil, errors.New("it is no list of settings")
	}
	for i := 0; i < len(top.Content); i += 2 {
		if name, old := oldKeys()[top.Content[i].Value]; old {
			top.Content[i].Value = name
		}
		given = append(given, top.Content[i].Value)
	}
	if err := top.Decode(&c); err != nil {
		return c, nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		if len(known.With(name)) == 0 {
			return c, nil, fmt.Errorf("field %s is not known", name)
		}
	}
	return c, given, nil
}
