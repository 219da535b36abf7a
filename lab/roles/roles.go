// Package roles lets one binary be everything that a run needs: the command,
// the process that sets up a testbed, a guest's init, the runner of trials
// inside, and the userspace proxy. Test binaries have the same roles, so any
// test can run in a testbed.
package roles

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes/userspace/proxy"
)

// First arguments of roles that are not about testbeds. They are not for users.
const (
	Proxy  = "__proxy"
	Trials = "__trials"
	// Capabilities is followed by names of modes.
	Capabilities = "__capabilities"
)

// Dispatch plays the role that this process was started for and ends it; it
// returns if there is none. Call it first in main and in TestMain.
func Dispatch() {
	if os.Getpid() == 1 && os.Getenv(testbed.GuestEnv) != "" {
		testbed.GuestInit()
	}
	if len(os.Args) < 2 {
		return
	}
	var err error
	switch os.Args[1] {
	case testbed.RoleCheck:
		err = testbed.Check()
	case testbed.RoleNative:
		err = testbed.EnterNative(os.Args[2:])
	case testbed.RoleUML:
		err = testbed.EnterUML()
	case Proxy:
		debug.SetGCPercent(50)
		err = proxy.Run(os.Stdin, os.Stdout)
	case Trials:
		err = trials()
	case Capabilities:
		err = capabilities(os.Args[2:])
	default:
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(3)
	}
	os.Exit(0)
}

// trials reads a job on standard input and runs it.
func trials() error {
	// A Snapshot of many Services is live for long; collecting a little more
	// often keeps the lab small beside what it measures.
	debug.SetGCPercent(50)
	var job trial.Job
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	return trial.RunJob(context.Background(), job, trial.NewEmitter(os.Stdout))
}

// capabilities prints what the modes lack here.
func capabilities(names []string) error {
	lacks, err := trial.Capabilities(context.Background(), names)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(lacks)
}
