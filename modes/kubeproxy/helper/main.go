package helper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/proxy"
)

// Main serves the lab until its standard input ends, with proxiers that make makes.
func Main(make func(Config) (proxy.Provider, error)) {
	log := &lastLines{}
	klog.LogToStderr(false)
	klog.SetOutput(log)
	s := server{make: make, log: log, out: json.NewEncoder(os.Stdout)}
	if err := s.serve(bufio.NewReaderSize(os.Stdin, 1<<20)); err != nil {
		fmt.Fprintln(os.Stderr, "kube-proxy helper:", err)
		os.Exit(1)
	}
}

// server is the conversation with the lab.
type server struct {
	make   func(Config) (proxy.Provider, error)
	log    *lastLines
	out    *json.Encoder
	driven *driven // since hello
	mode   string
}

// serve answers line by line.
func (s *server) serve(in *bufio.Reader) error {
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a line: %w", err)
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("read a line: %w", err)
		}
		answer, err := s.do(r)
		if err != nil {
			answer = &reply{Did: "error", Error: strings.Join(append([]string{err.Error()}, s.log.take()...), "; ")}
		}
		if answer == nil {
			continue
		}
		answer.ID = r.ID
		if err := s.out.Encode(answer); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// do carries a request out. Only objects have no answer.
func (s *server) do(r request) (*reply, error) {
	if s.driven == nil && r.Do != "hello" {
		return nil, fmt.Errorf("%s before hello", r.Do)
	}
	switch r.Do {
	case "hello":
		return s.hello(r)
	case "set", "delete":
		return nil, s.driven.take(r.Do == "set", r.Object)
	case "sync":
		s.log.take()
		return s.driven.sync()
	case "close":
		s.log.take()
		if failed := cleanUp(context.Background(), s.mode); failed {
			return nil, errors.New("kube-proxy could not remove all that it had programmed")
		}
		return &reply{Did: "closed"}, nil
	}
	return nil, fmt.Errorf("unknown request %q", r.Do)
}

// hello makes the proxier.
func (s *server) hello(r request) (*reply, error) {
	if r.Protocol != Protocol {
		return nil, fmt.Errorf("protocol %d is asked for, this program speaks %d", r.Protocol, Protocol)
	}
	s.mode = r.Args["mode"]
	c, err := newConfig(r)
	if err != nil {
		return nil, err
	}
	p, err := s.make(c)
	if err != nil {
		return nil, err
	}
	s.driven = drive(p, c, r.Node)
	return &reply{Did: "hello", Protocol: Protocol, Name: "kube-proxy", Version: version()}, nil
}

// version is that of the module k8s.io/kubernetes in this program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, m := range info.Deps {
			if m.Path == "k8s.io/kubernetes" {
				return strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	return "unknown"
}
