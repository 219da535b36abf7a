package measure

import (
	"context"

	"viplab/lab/trial"
	"viplab/modes"
	"viplab/results"
	"viplab/workload"
)

// Iperf measures bulk throughput through the first and the last Service. Nothing can be
// asked of the endpoints after it.
func Iperf() trial.Measurement {
	return trial.Measurement{Name: "iperf", Wanted: func(st *trial.Stage) bool { return st.Plan.Iperf > 0 }, Run: iperf}
}

// iperf measures bulk throughput through the first and the last Service. The
// iperf3 server takes the echo server's place behind every endpoint.
func iperf(ctx context.Context, st *trial.Stage) error {
	st.StopServer()
	expected := 0.0
	for _, pos := range []string{trial.First, trial.Last} {
		svc, port := st.Bulk(pos)
		if svc == nil {
			st.Step("no iperf3: the endpoints of every service listen on several ports")
			return nil
		}
		var err error
		if expected, err = iperfThrough(ctx, st, pos, svc, port, expected); err != nil {
			return err
		}
	}
	return nil
}

// iperfThrough measures one Service, whose endpoints listen on a port, given the bits per
// second to be expected, 0 if nothing is. It returns what it was.
func iperfThrough(ctx context.Context, st *trial.Stage, pos string, svc *modes.Service, port uint16, expected float64) (rate float64, err error) {
	st.Step("iperf3 through the %s service", pos)
	to := st.Target(svc)
	var server *workload.IperfServer
	err = st.Net.Backend.Do(func() (err error) {
		server, err = workload.StartIperf(svc.Family(), port)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer func() { _ = st.Net.Backend.Do(func() error { server.Stop(); return nil }) }()
	home, _ := st.Home()
	if expected == 0 {
		err = home.Do(func() (err error) {
			expected, err = workload.IperfRate(ctx, server, to)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	before, err := workload.ReadMachineCPU()
	if err != nil {
		return 0, err
	}
	var t workload.Throughput
	err = home.Do(func() (err error) {
		t, err = workload.Iperf(ctx, server, to, st.Plan.Iperf, expected)
		return err
	})
	if err != nil {
		return 0, err
	}
	after, err := workload.ReadMachineCPU()
	if err != nil {
		return 0, err
	}
	st.Record(results.Throughput, st.AtHome(map[string]string{results.Position: pos}), t.BitsPerSecond)
	for kind, s := range after {
		st.Record(results.GigabitCPU, st.AtHome(map[string]string{results.Position: pos, results.Kind: kind}), (s-before[kind])/(t.Bits/1e9))
	}
	return t.BitsPerSecond, nil
}
