package measure

import (
	"cmp"
	"context"
	"fmt"

	"viplab/lab/trial"
	"viplab/results"
	"viplab/workload"
)

// Connections measures the rate of new connections to random Services, and the CPU time
// of one.
func Connections() trial.Measurement {
	return trial.Measurement{Name: "connections", Quiet: true, Wanted: func(st *trial.Stage) bool { return st.Plan.Connect > 0 }, Run: connections}
}

func connections(ctx context.Context, st *trial.Stage) error {
	targets := st.RandomTargets()
	home, _ := st.Home()
	warm, err := workload.Connect(ctx, targets, st.Plan.Workers, st.Plan.Connect/5, home.Go)
	if err != nil {
		return err
	}
	before, err := st.Usage()
	if err != nil {
		return err
	}
	c, err := workload.Connect(ctx, targets, st.Plan.Workers, st.Plan.Connect, home.Go)
	if err != nil {
		return err
	}
	after, err := st.Usage()
	if err != nil {
		return err
	}
	if err := failed(warm, c); err != nil {
		return err
	}
	if c.Done == 0 {
		return fmt.Errorf("no connection was made in %s", st.Plan.Connect)
	}
	random := st.AtHome(map[string]string{results.Position: trial.Random})
	st.Record(results.ConnectionsRate, random, c.PerSecond())
	st.Record(results.ConnectionCPU, random, (after-before).Seconds()/float64(c.Done))
	return nil
}

// failed says that connections failed, to warm up or counted, and why one of them did.
func failed(warm, counted workload.Connections) error {
	n := warm.Failed + counted.Failed
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d connections failed: %w", n, n+warm.Done+counted.Done, cmp.Or(counted.Err, warm.Err))
}
