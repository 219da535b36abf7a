package modes

import (
	"errors"
	"fmt"
)

// MissingError is a capability that this kernel or machine lacks.
type MissingError struct {
	// Need names what is missing, for example "IPVS in the kernel".
	Need string
	// Mend is the command or step that would provide it.
	Mend string
	// Err is what was seen, may be nil.
	Err error
}

// Error names the need, what was seen, and the command that mends it.
func (e *MissingError) Error() string {
	s := "missing: " + e.Need
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	if e.Mend != "" {
		s += "; to mend: " + e.Mend
	}
	return s
}

// Unwrap gives what was seen.
func (e *MissingError) Unwrap() error { return e.Err }

// IsMissing tells whether err is, or wraps, a [MissingError].
func IsMissing(err error) bool {
	var m *MissingError
	return errors.As(err, &m)
}
