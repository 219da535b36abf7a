package shell

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"viplab/lab/topo"
	"viplab/lab/trial"
	"viplab/modes"
	"viplab/workload"
)

// serve starts servers for every endpoint: of HTTP at TCP's ports, whose answer is the
// endpoint's address and the one that the request came from, and the lab's own at the rest.
func serve(backend *topo.Namespace, job Job) error {
	on := trial.Listens(job.Snapshot, job.Family)
	var listeners []net.Listener
	err := backend.Do(func() error {
		for _, p := range on.TCP {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", p))
			if err != nil {
				return err
			}
			listeners = append(listeners, l)
		}
		on.TCP = nil
		_, err := workload.Serve(on)
		return err
	})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return &modes.MissingError{Need: "SCTP in the kernel", Mend: "sudo modprobe sctp, or --testbed uml", Err: err}
	}
	if err != nil {
		return fmt.Errorf("start the servers behind the endpoints: %w", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: time.Minute}
	for _, l := range listeners {
		go func() { _ = server.Serve(l) }()
	}
	return nil
}

func answer(w http.ResponseWriter, r *http.Request) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	fmt.Fprintf(w, "%s answers %s\n", local, r.RemoteAddr)
}
