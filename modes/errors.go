package modes

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
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

// Error names the need, what was seen, and the command that mends it. Where what was seen is
// that no more files could be opened, those are what is missing: of the need nothing is known.
func (e *MissingError) Error() string {
	need, mend, seen := e.Need, e.Mend, ""
	if e.Err != nil {
		seen = fmt.Sprintf(" (%v)", e.Err)
	}
	// What tools say, and what comes from another process, is text.
	switch text := strings.ToLower(seen); {
	case strings.Contains(text, syscall.ENFILE.Error()):
		need, mend = filesFor+need, "sudo sysctl fs.file-max=1000000"
	case strings.Contains(text, syscall.EMFILE.Error()):
		need, mend = filesFor+need, "raise the limit of open files: ulimit -n 4096"
	}
	if mend != "" {
		mend = "; to mend: " + mend
	}
	return "missing: " + need + seen + mend
}

// filesFor is what is missing where no more files could be opened.
const filesFor = "room for open files, to look for "

// Unwrap gives what was seen.
func (e *MissingError) Unwrap() error { return e.Err }

// IsMissing tells whether err is, or wraps, a [MissingError].
func IsMissing(err error) bool {
	var m *MissingError
	return errors.As(err, &m)
}

// NoPlanError is a question about a mode that only a kernel can answer, since the mode does
// not say what it programs or what that costs.
type NoPlanError struct {
	Mode string
	// PeerOf is the mode of the lab's that has the same structure, empty for none.
	PeerOf string
	// What cannot be done to it without a kernel: "followed", "simulated".
	What string
	// Why not, where it is not for want of a description.
	Why string
}

// Error implements error.
func (e *NoPlanError) Error() string {
	why := "it does not say what it programs"
	if e.What == "simulated" {
		why = "it has no model of its costs"
	}
	if e.Why != "" {
		why = e.Why
	}
	if e.PeerOf != "" {
		return fmt.Sprintf("mode %s cannot be %s without a kernel, being a program of its own: use mode %s, which has its structure, or bench and viplab shell for the real one",
			e.Mode, e.What, e.PeerOf)
	}
	return fmt.Sprintf("mode %s cannot be %s without a kernel: %s", e.Mode, e.What, why)
}
