package measure

import (
	"context"
	"slices"

	"viplab/lab/trial"
	"viplab/results"
)

// Evenness is how even the choice among a Service's endpoints is: the share of the
// busiest over the mean, 1 when all are alike.
func Evenness() trial.Measurement {
	return trial.Measurement{
		Name:   "evenness",
		Wanted: func(st *trial.Stage) bool { return st.Serves() && st.Plan.Packets > 0 && st.Many() != nil },
		Run:    evenness,
	}
}

// asksPerEndpoint is how often each endpoint is to be chosen on average.
const asksPerEndpoint = 50

func evenness(_ context.Context, st *trial.Stage) error {
	svc := st.Many()
	n := asksPerEndpoint * len(svc.Endpoints)
	seen, err := st.Choices(svc, n)
	if err != nil {
		return err
	}
	st.Record(results.Evenness, st.AtHome(nil), slices.Max(seen)*float64(len(svc.Endpoints))/float64(n))
	return nil
}
