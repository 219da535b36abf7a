package plaintext_test

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"viplab/modes/plaintext"
)

// TestReader: the mark goes, and says how the rest is read; without one nothing is changed.
func TestReader(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"a":                                "a",
		"kind: ä\xff\n":                    "kind: ä\xff\n",
		"\xef\xbb\xbfkind: ä\r\n":          "kind: ä\r\n",
		"\xff\xfek\x00:\x00\xe4\x00\n\x00": "k:ä\n",
		"\xfe\xff\x00k\x00:\x00\xe4\x00\n": "k:ä\n",
		"\xff\xfe":                         "",
		strings.Repeat("a line\n", 10000):  strings.Repeat("a line\n", 10000),
		"\xfe\xff" + strings.Repeat("\x00a", 10000): strings.Repeat("a", 10000),
	} {
		for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
			got, err := io.ReadAll(plaintext.Reader(r))
			if err != nil || string(got) != want {
				t.Errorf("%.20q: got %.20q, %v, want %.20q", in, got, err, want)
			}
		}
	}
	broken := io.MultiReader(strings.NewReader("a"), iotest.ErrReader(io.ErrClosedPipe))
	if _, err := io.ReadAll(plaintext.Reader(broken)); err != io.ErrClosedPipe {
		t.Errorf("what cannot be read: %v", err)
	}
}
