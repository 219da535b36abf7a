package session

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

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
		if err := multiples(top.Content[i], top.Content[i+1]); err != nil {
			return c, nil, err
		}
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

// multiples makes a key of its own of sizes that are multiples of a cluster: services of
// 1x, 4x are times of 1, 4.
func multiples(key, value *yaml.Node) error {
	if key.Value != "services" || value.Kind != yaml.SequenceNode {
		return nil
	}
	var list []string
	for _, n := range value.Content {
		list = append(list, n.Value)
	}
	_, times, err := ParseSizes(list)
	if err != nil || len(times) == 0 {
		return err
	}
	key.Value = "times"
	for i, n := range value.Content {
		n.Value, n.Tag = strconv.Itoa(times[i]), ""
	}
	return nil
}

// ParseSizes reads numbers of Services, or all of them as multiples of a cluster: "4x".
func ParseSizes(list []string) (services, times []int, err error) {
	for _, text := range list {
		number, multiple := strings.CutSuffix(strings.TrimSpace(text), "x")
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, nil, fmt.Errorf("services: %q is no number of Services, nor a multiple of a cluster such as 4x", text)
		}
		if multiple {
			times = append(times, n)
		} else {
			services = append(services, n)
		}
	}
	if len(services) > 0 && len(times) > 0 {
		return nil, nil, fmt.Errorf("services: numbers and multiples of a cluster exclude each other")
	}
	return services, times, nil
}
