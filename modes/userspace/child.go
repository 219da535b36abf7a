package userspace

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"viplab/modes/userspace/proxy"
)

// child is the running proxy process.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	enc    *gob.Encoder
	dec    *gob.Decoder
	stderr bytes.Buffer
}

func startChild(command []string) (*child, error) {
	if len(command) == 0 {
		return nil, fmt.Errorf("start the proxy: no command given")
	}
	c := &child{cmd: exec.Command(command[0], command[1:]...)}
	// The parent may be killed at any moment; the proxy must not outlive it.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.cmd.Stderr = &c.stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the proxy: %w", err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the proxy: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the proxy %s: %w", command[0], err)
	}
	c.in, c.enc, c.dec = in, gob.NewEncoder(in), gob.NewDecoder(out)
	return c, nil
}

func (c *child) update(u proxy.Update) (proxy.Reply, error) {
	if len(u.Set)+len(u.Delete) == 0 {
		return proxy.Reply{}, nil
	}
	return c.exchange(u)
}

// exchange sends an update, which may be empty, and waits for the answer.
func (c *child) exchange(u proxy.Update) (proxy.Reply, error) {
	var r proxy.Reply
	err := c.enc.Encode(u)
	if err == nil {
		err = c.dec.Decode(&r)
	}
	if err != nil {
		return r, fmt.Errorf("update the proxy process: %w: %s", err, strings.TrimSpace(c.stderr.String()))
	}
	if r.Err != "" {
		return r, fmt.Errorf("update the proxy process: %s", r.Err)
	}
	return r, nil
}

// stop ends the process by ending its input, and kills it if it lingers.
func (c *child) stop() error {
	_ = c.in.Close()
	kill := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("stop the proxy: %w", err)
	}
	return nil
}
