package session

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"viplab/modes/catalog"
	"viplab/modes/plaintext"
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
	dec := yaml.NewDecoder(plaintext.Reader(r))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return c, nil, errors.New("it is empty")
	} else if err != nil {
		return c, nil, noYAML(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return c, nil, errors.New("it holds more than one document")
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode || len(top.Content) == 0 {
		return c, nil, errors.New("it is no list of settings")
	}
	for i := 0; i < len(top.Content); i += 2 {
		name, err := c.set(top.Content[i], top.Content[i+1])
		if err != nil {
			return c, nil, err
		}
		if slices.Contains(given, name) {
			return c, nil, fmt.Errorf("line %d: %s is given twice", top.Content[i].Line, name)
		}
		given = append(given, name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		if len(known.With(name)) == 0 {
			return c, nil, fmt.Errorf("field %s is not known", name)
		}
	}
	return c, given, nil
}

// noYAML says of a file what its parser does, in one sentence.
func noYAML(err error) error {
	return fmt.Errorf("it is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
}

// set reads one setting, and says what its name is today.
func (c *Config) set(key, value *yaml.Node) (name string, err error) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch {
	case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
		return "", fmt.Errorf("line %d: it is no list of settings", key.Line)
	case value.Kind == 0 || value.Tag == "!!null":
		return "", fmt.Errorf("line %d: %s has no value", key.Line, key.Value)
	}
	name = cmp.Or(oldKeys()[key.Value], key.Value)
	field, known := setting(name)
	if known && field.Kind() == reflect.Slice && value.Kind == yaml.ScalarNode {
		// One value is a list of one, as it is on the command line.
		value = &yaml.Node{Kind: yaml.SequenceNode, Line: value.Line, Content: []*yaml.Node{value}}
	}
	one := yaml.Node{Kind: yaml.ScalarNode, Value: name}
	if err := multiples(&one, value); err != nil {
		return "", err
	}
	err = (&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{&one, value}}).Decode(c)
	var wrong *yaml.TypeError
	if known && (errors.As(err, &wrong) || cut(field, value)) {
		return "", fmt.Errorf("line %d: %s must be %s", key.Line, name, kindOf(field))
	}
	if err != nil {
		return "", fmt.Errorf("line %d: %s: %s", key.Line, name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return name, nil
}

// setting is the type of a field of [Config] by its name in a file.
func setting(name string) (reflect.Type, bool) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); tag == name && tag != "-" {
			return f.Type, true
		}
	}
	return nil, false
}

// cut tells whether a fraction was lost, which the parser takes away without a word where
// whole numbers are wanted.
func cut(field reflect.Type, value *yaml.Node) bool {
	if field.Kind() == reflect.Slice {
		return slices.ContainsFunc(value.Content, func(n *yaml.Node) bool { return cut(field.Elem(), n) })
	}
	var n float64
	whole := field.Kind() == reflect.Int || field.Kind() == reflect.Uint64
	return whole && value.Decode(&n) == nil && n != math.Trunc(n)
}

// kindOf says what values of a type are.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 300ms or 2m"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Int:
		return "a list of whole numbers"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return "a list of words"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Uint64:
		return "a whole number of 0 or more"
	case t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "a word"
	}
	return "of another kind"
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
