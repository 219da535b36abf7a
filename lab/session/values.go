package session

import (
	"errors"

	"gopkg.in/yaml.v3"
)

// Values are what a parameter is to be compared at. In a file they are a list, or one
// value alone.
type Values []string

// UnmarshalYAML implements [yaml.Unmarshaler].
func (v *Values) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*v = Values{node.Value}
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		return errors.New("want a value or a list of values")
	}
	*v = nil
	for _, one := range node.Content {
		if one.Kind != yaml.ScalarNode {
			return errors.New("want a list of plain values")
		}
		*v = append(*v, one.Value)
	}
	return nil
}

// params are the values of the modes' parameters as plain lists.
func (c Config) params() map[string][]string {
	out := make(map[string][]string, len(c.Params))
	for name, v := range c.Params {
		out[name] = v
	}
	return out
}
