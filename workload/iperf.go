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

// IperfServer is an iperf3 server that runs. It takes one client after the other.
type IperfServer struct {
	cmd       *exec.Cmd
	listening chan struct{} // has something each time that it listens anew
	ended     chan struct{}
}

// listenWithin is how long a server may take to listen.
const listenWithin = 10 * time.Second

// StartIperf starts an iperf3 server on a port of all addresses of a family, in the
// namespace of the calling thread. It must be stopped.
func StartIperf(f modes.Family, port uint16) (*IperfServer, error) {
	family := "-4"
	if f == modes.IPv6 {
		family = "-6"
	}
	s := &IperfServer{listening: make(chan struct{}, 1), ended: make(chan struct{})}
	s.cmd = exec.Command("iperf3", family, "-s", "-p", strconv.Itoa(int(port)), "--forceflush")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start iperf3 server: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, iperfError("start iperf3 server", err, "")
	}
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "Server listening") {
				select {
				case s.listening <- struct{}{}:
				default: // nobody has come since
				}
			}
		}
	}()
	return s, nil
}

// await waits until the server takes a client. After each client it closes its socket and
// opens another one; who comes in between is refused.
func (s *IperfServer) await() error {
	select {
	case <-s.listening:
		return nil
	case <-s.ended:
		return errors.New("iperf3 server: it ended")
	case <-time.After(listenWithin):
		return fmt.Errorf("iperf3 server: it does not listen within %s", listenWithin)
	}
}

// Stop ends the server.
func (s *IperfServer) Stop() {
	_ = s.cmd.Process.Kill()
	<-s.ended
	_ = s.cmd.Wait()
}

// tasteBytes is what is sent to learn a rate: some 50 ms of it in a guest.
const tasteBytes = 32 << 20

// IperfRate is the rate of a short stream, for [Iperf] to know what to expect.
func IperfRate(ctx context.Context, server *IperfServer, to netip.AddrPort) (bitsPerSecond float64, err error) {
	t, err := iperf(ctx, server, to, 0, "-n", strconv.Itoa(tasteBytes))
	return t.BitsPerSecond, err
}

// Iperf runs an iperf3 client with one TCP stream against an address that leads to a
// server. Since iperf3 counts its time in whole seconds, a length that is none is measured
// as so many bytes as are expected to take it, in bits per second.
func Iperf(ctx context.Context, server *IperfServer, to netip.AddrPort, length time.Duration, expected float64) (Throughput, error) {
	if length%time.Second == 0 {
		return iperf(ctx, server, to, length, "-t", strconv.Itoa(int(length/time.Second)))
	}
	return iperf(ctx, server, to, length, "-n", strconv.Itoa(max(tasteBytes, int(expected/8*length.Seconds()))))
}

// iperfOver is how much longer than expected a client may take.
const iperfOver = 15 * time.Second

// iperf runs one client for about a length of time, which its arguments say.
func iperf(ctx context.Context, server *IperfServer, to netip.AddrPort, length time.Duration, long ...string) (Throughput, error) {
	if err := server.await(); err != nil {
		return Throughput{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, length+iperfOver)
	defer cancel()
	cmd := exec.CommandContext(ctx, "iperf3", append([]string{"-c", to.Addr().String(), "-p", strconv.Itoa(int(to.Port())),
		"-J", "--connect-timeout", "5000"}, long...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	runErr := cmd.Run()
	if runErr != nil && out.Len() == 0 {
		return Throughput{}, iperfError("run iperf3 against "+to.String(), runErr, errs.String())
	}
	t, err := parseIperf(out.Bytes())
	if err == nil && runErr != nil { // a result of a run that failed is none
		err = iperfError("run iperf3 against "+to.String(), runErr, errs.String())
	}
	return t, err
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
