// Package roles lets one binary be everything that a run needs: the command,
// the process that sets up a testbed, a guest's init, the runner of trials
// inside, and the userspace proxy.
package roles

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"viplab/lab/measure"
	"viplab/lab/shell"
	"viplab/lab/tell"
	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes/catalog"
	"viplab/modes/userspace/proxy"
)

// First arguments of roles that are not about testbeds. They are not for users.
const (
	Trials = "__trials"
	// Capabilities reads a list of [trial.Variant] as JSON and answers with one of
	// [trial.Lack].
	Capabilities = "__capabilities"
	// Stories reads a [tell.Job] as JSON and answers with a list of [tell.Result].
	Stories = "__stories"
	// Shell reads a [shell.Job] as JSON, and ends with the exit code of its command.
	Shell = "__shell"
)

// Dispatch plays the role that this process was started for and ends it; it
// returns if there is none. Trials are run in modes of a catalog.
func Dispatch(known catalog.Catalog) {
	testbed.Dispatch(map[string]testbed.Role{
		testbed.RoleProxy: func([]string) error { return Proxy() },
		Trials:            func([]string) error { return trials(known) },
		Capabilities:      func([]string) error { return capabilities(known) },
		Stories:           func([]string) error { return stories(known) },
		Shell:             func([]string) error { return command(known) },
	})
}

// Proxy serves the mode userspace until its input ends.
func Proxy() error {
	collectOften()
	return proxy.Run(os.Stdin, os.Stdout)
}

// collectOften lets Go's collector run a little more often than usual, unless the testbed
// says how often. A Snapshot of many Services is live for long; this keeps the lab small
// beside what it measures.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// trials reads a job on standard input and runs it.
func trials(known catalog.Catalog) error {
	collectOften()
	// With a timeout, system calls on netlink's sockets fail when a process that was stopped
	// goes on; the kernel answers at once.
	nl.SocketTimeoutTv = unix.Timeval{}
	var job trial.Job
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	return trial.RunJob(context.Background(), known, measure.All(), job, trial.NewEmitter(os.Stdout))
}

// capabilities reads on standard input what is asked for, and prints what it lacks here.
func capabilities(known catalog.Catalog) error {
	var asked []trial.Variant
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return fmt.Errorf("read variants: %w", err)
	}
	lacks, err := trial.Capabilities(context.Background(), known, asked)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(lacks)
}

// stories reads on standard input what to tell, and prints what became of it.
func stories(known catalog.Catalog) error {
	var job tell.Job
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		return fmt.Errorf("read stories: %w", err)
	}
	told, err := tell.Run(context.Background(), known, job)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}

// command reads on standard input what to set up, and runs a command in it. It does not
// return: the exit code is the command's, or says what kept it from starting.
func command(known catalog.Catalog) error {
	var job shell.Job
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		return fmt.Errorf("read what to set up: %w", err)
	}
	code, err := shell.Run(context.Background(), known, job)
	if err != nil {
		fmt.Fprintf(os.Stderr, "viplab: %v\n", err)
	}
	os.Exit(code)
	return nil
}
