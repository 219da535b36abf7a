package testbed

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"viplab/modes"
)

// writing is every way of changing a file system that Landlock knows of (landlock(7)).
const writing = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_REFER |
	unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
	unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
	unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM

// landlockTruncate is the first version of Landlock that keeps files from being cut off.
const landlockTruncate = 3

// onlyWrites lets the calling thread, and what it starts from now on, write below one folder
// only, for good. It is for where there are neither namespaces nor root, in which mounts
// could be made read-only.
func onlyWrites(dir string) error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || version < landlockTruncate {
		err := error(errno)
		if errno == 0 {
			err = fmt.Errorf("the kernel has version %d of it", version)
		}
		return errors.Join(missingNamespaces(errors.New("and no Landlock, which would do instead")),
			&modes.MissingError{Need: "Landlock (Linux 6.2, lsm=landlock)", Mend: "see above", Err: err})
	}
	runtime.LockOSThread()
	attr := unix.LandlockRulesetAttr{Handled_access_fs: writing}
	rules, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Handled_access_fs), 0)
	if errno != 0 {
		return fmt.Errorf("make rules for files: %w", errno)
	}
	defer unix.Close(int(rules))
	for _, path := range []string{dir, os.DevNull} {
		if err := allowWrites(int(rules), path); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0); errno != 0 {
		return fmt.Errorf("keep the guest from writing to files: %w", errno)
	}
	return nil
}

// allowWrites adds a folder, or a file, to what may be written to.
func allowWrites(rules int, path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	below := unix.LandlockPathBeneathAttr{Allowed_access: writing, Parent_fd: int32(fd)}
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		below.Allowed_access = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&below)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("allow writing to %s: %w", path, errno)
	}
	return nil
}
