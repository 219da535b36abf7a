package workload

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"viplab/modes"
)

// Throughput is the result of one iperf3 run.
type Throughput struct {
	Bits          float64 // received in all
	BitsPerSecond float64 // received
	Retransmits   int
}

// StartIperf starts an iperf3 server on a port of all addresses of a family, in the
// namespace of the calling thread, and returns when it listens. stop ends it.
func StartIperf(f modes.Family, port uint16) (stop func(), err error) {
	family := "-4"
	if f == modes.IPv6 {
		family = "-6"
	}
	cmd := exec.Command("iperf3", family, "-s", "-p", strconv.Itoa(int(port)), "--forceflush")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start iperf3 server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, iperfError("start iperf3 server", err, "")
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	listening := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "listening") {
				select {
				case listening <- true:
				default:
				}
			}
		}
		close(listening)
	}()
	select {
	case ok := <-listening:
		if ok {
			return stop, nil
		}
	case <-time.After(10 * time.Second):
	}
	stop()
	return nil, fmt.Errorf("start iperf3 server on port %d: it does not listen", port)
}

// Iperf runs an iperf3 client with one TCP stream against an address.
func Iperf(ctx context.Context, to netip.AddrPort, length time.Duration) (Throughput, error) {
	ctx, cancel := context.WithTimeout(ctx, length+15*time.Second)
	defer cancel()
	seconds := max(1, int(length.Round(time.Second).Seconds()))
	cmd := exec.CommandContext(ctx, "iperf3", "-c", to.Addr().String(), "-p", strconv.Itoa(int(to.Port())),
		"-t", strconv.Itoa(seconds), "-J", "--connect-timeout", "5000")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	runErr := cmd.Run()
	if runErr != nil && out.Len() == 0 {
		return Throughput{}, iperfError("run iperf3 against "+to.String(), runErr, errs.String())
	}
	return parseIperf(out.Bytes())
}

func iperfError(what string, err error, stderr string) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &modes.MissingError{Need: "the tool iperf3", Mend: "sudo apt-get install iperf3", Err: err}
	}
	return fmt.Errorf("%s: %w %s", what, err, strings.TrimSpace(stderr))
}

// parseIperf reads the result that iperf3 -J prints.
func parseIperf(data []byte) (Throughput, error) {
	var doc struct {
		Error string `json:"error"`
		End   struct {
			Sent struct {
				Retransmits int `json:"retransmits"`
			} `json:"sum_sent"`
			Received struct {
				Bytes         float64 `json:"bytes"`
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return Throughput{}, fmt.Errorf("read iperf3's result: %w", err)
	}
	if doc.Error != "" {
		return Throughput{}, fmt.Errorf("iperf3: %s", doc.Error)
	}
	if doc.End.Received.BitsPerSecond <= 0 {
		return Throughput{}, errors.New("iperf3: result has no received bits per second")
	}
	return Throughput{8 * doc.End.Received.Bytes, doc.End.Received.BitsPerSecond, doc.End.Sent.Retransmits}, nil
}
