package session

import (
	"slices"
	"strings"
	"testing"

	"viplab/modes/catalog"
)

// TestReadConfigRefuses: what does not fit is said in one line of the lab's own words, with
// the line of the file.
func TestReadConfigRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "it is empty",
		"[1, 2]":                              "it is no list of settings",
		"? [a]\n: 1\n":                        "line 1: it is no list of settings",
		"services: [1]\n---\nservices: [2]":   "it holds more than one document",
		"services:":                           "line 1: services has no value",
		"repeat: 2\nservices: ~":              "line 2: services has no value",
		"services: [1.5]":                     `services: "1.5" is no number of Services, nor a multiple of a cluster such as 4x`,
		"services: {a: 1}":                    "line 1: services must be a list of whole numbers",
		"endpoints: many":                     "line 1: endpoints must be a whole number",
		"repeat: 1.5":                         "line 1: repeat must be a whole number",
		"seed: 0.5":                           "line 1: seed must be a whole number of 0 or more",
		"repeat: 2\ncpus: [1, 2.5]":           "line 2: cpus must be a list of whole numbers",
		"seed: -1":                            "line 1: seed must be a whole number of 0 or more",
		"churn: much":                         "line 1: churn must be a number",
		"quick: often":                        "line 1: quick must be true or false",
		"duration: 5 weeks":                   "line 1: duration must be a duration such as 300ms or 2m",
		"modes: {ipvs: 1}":                    "line 1: modes must be a list of words",
		"rounds: 2\nrepeat: 3":                "line 2: repeat is given twice",
		"layout: [[direct]]":                  "line 1: layout: want a list of plain values",
		"servises: [1]":                       "field servises is not known",
		"services: [1\nmodes: [ipvs]":         "it is no YAML: ",
		"a: &a [1]\nservices: *b":             "it is no YAML: unknown anchor 'b' referenced",
		"services: [1]\nprecision: very":      "line 2: precision: ",
		"services: [1, 2x]":                   "services: numbers and multiples of a cluster exclude each other",
		"services: [1]\n\x01":                 "it is no YAML: control characters are not allowed",
		"<<: {services: [1]}\nrepeat: 2":      "line 1: it is no list of settings",
		"modes: [ipvs]\nbackend: {legacy: 1}": "line 2: backend: want a value or a list of values",
	} {
		_, _, err := ReadConfig(strings.NewReader(text), catalog.All())
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "!!") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestReadConfig: one value is a list of one, and an anchor stands for its value.
func TestReadConfig(t *testing.T) {
	c, given, err := ReadConfig(strings.NewReader("policies: &n [7]\nservices: *n\nmodes: ipvs\nrounds: 3\nscheduler: sh"), catalog.All())
	if err != nil || !slices.Equal(c.Services, []int{7}) || !slices.Equal(c.Modes, []string{"ipvs"}) || c.Repeat != 3 || !slices.Equal(c.Params["scheduler"], []string{"sh"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if want := []string{"policies", "services", "modes", "repeat", "scheduler"}; !slices.Equal(given, want) {
		t.Errorf("given %v", given)
	}
}
