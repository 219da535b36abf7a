package measure

import (
	"context"

	"viplab/lab/trial"
	"viplab/results"
)

// Memory is what the mode's own processes hold, and the CPU time that they took.
func Memory() trial.Measurement {
	return trial.Measurement{Name: "memory", Wanted: func(st *trial.Stage) bool { return len(st.ProxyPIDs()) > 0 }, Run: memory}
}

func memory(_ context.Context, st *trial.Stage) error {
	u, err := st.ProxyUsage()
	if err != nil {
		return err
	}
	st.Record(results.ProxyRSS, nil, float64(u.RSS))
	st.Record(results.ProxyPeakRSS, nil, float64(u.PeakRSS))
	st.Record(results.CPUSeconds, map[string]string{results.Of: "proxy"}, u.CPU.Seconds())
	return nil
}
