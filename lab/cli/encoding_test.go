package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
)

// TestEncodings: all text files that a user gives are read the same with a byte order mark,
// as editors and shells of Windows write them, in UTF-8 and in UTF-16.
func TestEncodings(t *testing.T) {
	encodings := map[string]encoding.Encoding{
		"UTF-8":    unicode.UTF8BOM,
		"UTF-16LE": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
		"UTF-16BE": unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
	}
	file := filepath.Join(t.TempDir(), "given.txt")
	for command, text := range map[string]string{
		"explain --modes iptables --from":                   oneService,
		"explain --packet client~tcp~10.96.0.10:80 --rules": "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 10.96.0.10/32 -j DROP\nCOMMIT\n",
		"story":          "sarvice web\n",
		"exec --story":   "sarvice web\n",
		"scenario":       "quest why\n",
		"bench --config": "servises: [1]\n",
	} {
		said := func(text string) string {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args := strings.Fields(command)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "~", " ")
			}
			_, out, errs := run(t, append(args, file)...)
			return out + errs
		}
		want := said(text)
		for name, e := range encodings {
			in, err := e.NewEncoder().String(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := said(in); got != want {
				t.Errorf("%s FILE, in %s:\n%s\nwant\n%s", command, name, got, want)
			}
		}
	}
}
