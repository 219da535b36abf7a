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
	var server *workload.IperfServer
	err := st.Net.Backend.Do(func() (err error) {
		server, err = workload.StartIperf(st.Service(0).Family(), st.Synth.TargetPort())
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = st.Net.Backend.Do(func() error { server.Stop(); return nil }) }()
	for _, pos := range []string{trial.First, trial.Last} {
		st.Step("iperf3 through the %s service", pos)
		to := st.Target(st.At(pos, modes.TCP))
		before, err := workload.ReadMachineCPU()
		if err != nil {
			return err
		}
		var t workload.Throughput
		home, _ := st.Home()
		err = home.Do(func() (err error) {
			t, err = workload.Iperf(ctx, server, to, st.Plan.Iperf)
			return err
		})
		if err != nil {
			return err
		}
		after, err := workload.ReadMachineCPU()
		if err != nil {
			return err
		}
		st.Record(results.Throughput, st.AtHome(map[string]string{results.Position: pos}), t.BitsPerSecond)
		for kind, s := range after {
			st.Record(results.GigabitCPU, st.AtHome(map[string]string{results.Position: pos, results.Kind: kind}), (s-before[kind])/(t.Bits/1e9))
		}
	}
	return nil
}
