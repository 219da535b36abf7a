package kernel

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Version is a kernel's version: its numbers, such as 7, 3, 4.
type Version []int

var versionText = regexp.MustCompile(`^v?(\d+(?:\.\d+)+)`)

// ParseVersion reads the numbers at the start of a version such as "7.3",
// "6.12.117", "7.3.4-1~bpo13+1" or "v6.1-rc3".
func ParseVersion(s string) (Version, error) {
	m := versionText.FindStringSubmatch(s)
	if m == nil {
		return nil, fmt.Errorf("read kernel version %q: it does not start with two numbers, as 7.3 does", s)
	}
	var v Version
	for part := range strings.SplitSeq(m[1], ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, fmt.Errorf("read kernel version %q: %w", s, err)
		}
		v = append(v, n)
	}
	return v, nil
}

// Compare orders versions: negative if v is older than w. A version that has
// more numbers is the newer one if the rest is equal.
func (v Version) Compare(w Version) int { return slices.Compare(v, w) }

// Series is the version without its patch level: 7.3 of 7.3.4.
func (v Version) Series() string { return v[:min(2, len(v))].String() }

// String is the version with dots.
func (v Version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

// compareText orders two versions given as text; what cannot be read comes first.
func compareText(a, b string) int {
	v, _ := ParseVersion(a)
	w, _ := ParseVersion(b)
	return cmp.Or(v.Compare(w), cmp.Compare(a, b))
}
