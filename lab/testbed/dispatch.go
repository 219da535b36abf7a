package testbed

import (
	"fmt"
	"os"
)

// Role is the body of a process that this program starts itself as; it gets
// the arguments after the role's name.
type Role func(args []string) error

// RoleProxy is the role of the userspace proxy's process.
const RoleProxy = "__proxy"

// Dispatch plays the role that this process was started for, one of a testbed's
// own or one of the given ones, and ends it; it returns if there is none. Call
// it first in main and in TestMain.
func Dispatch(roles map[string]Role) {
	if os.Getpid() == 1 && os.Getenv(GuestEnv) != "" {
		GuestInit()
	}
	if len(os.Args) < 2 {
		return
	}
	role := roles[os.Args[1]]
	switch os.Args[1] {
	case RoleCheck:
		role = Check
	case RoleNative:
		role = EnterNative
	case RoleInner:
		role = EnterInner
	case RoleUML:
		role = func([]string) error { return EnterUML() }
	case RoleQEMU:
		role = func([]string) error { return EnterQEMU() }
	}
	if role == nil {
		return
	}
	if err := role(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(3)
	}
	os.Exit(0)
}
