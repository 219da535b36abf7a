// Package roles lets one binary be everything that a run needs: the command,
// the process that sets up a testbed, a guest's init, the runner of trials
// inside, and the userspace proxy.
package roles

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"viplab/lab/testbed"
	"viplab/lab/trial"
	"viplab/modes/userspace/proxy"
)

// First arguments of roles that are not about testbeds. They are not for users.
const (
	Trials = "__trials"
	// Capabilities is followed by a [trial.Need] as JSON and names of modes.
	Capabilities = "__capabilities"
)

// Dispatch plays the role that this process was started for and ends it; it
// returns if there is none.
func Dispatch() {
	testbed.Dispatch(map[string]testbed.Role{
		testbed.RoleProxy: func([]string) error { return Proxy() },
		Trials:            func([]string) error { return trials() },
		Capabilities:      capabilities,
	})
}

// Proxy serves the mode userspace until its input ends.
func Proxy() error {
	debug.SetGCPercent(50)
	return proxy.Run(os.Stdin, os.Stdout)
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
func capabilities(args []string) error {
	if len(args) == 0 {
		return errors.New("no need given")
	}
	var need trial.Need
	if err := json.Unmarshal([]byte(args[0]), &need); err != nil {
		return fmt.Errorf("read need: %w", err)
	}
	lacks, err := trial.Capabilities(context.Background(), args[1:], need)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(lacks)
}
