// Package plaintext reads text files that people give: whatever editor or shell wrote them,
// what comes out is UTF-8 without a byte order mark.
package plaintext

import (
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Reader reads a text without its byte order mark, from UTF-16 if that is what the mark
// says: the shells of Windows write all output so. Without a mark it is read as it is.
func Reader(r io.Reader) io.Reader {
	return transform.NewReader(r, unicode.BOMOverride(transform.Nop))
}
