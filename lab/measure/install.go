package measure

import (
	"context"
	"errors"

	"viplab/lab/trial"
	"viplab/results"
)

// Install times the installation of all Services by one call an object, within a time
// budget, in modes that can write so and with the trial's arguments do.
func Install() trial.Measurement {
	return trial.Measurement{
		Name:   "install by one call an object",
		Alone:  true,
		Wanted: func(st *trial.Stage) bool { return st.Plan.Install > 0 && st.Stepwise() != nil },
		Run:    install,
	}
}

// install sets up and times. Cut off by its budget it is a censored sample, with how far
// it came.
func install(ctx context.Context, st *trial.Stage) error {
	if err := st.SetUp(ctx); err != nil {
		return err
	}
	st.Step("install one rule a call, for at most %s", st.Plan.Install)
	inner, cancel := context.WithTimeout(ctx, st.Plan.Install)
	defer cancel()
	s, err := st.Sync(inner, st.Snapshot)
	over := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
	if err != nil && !over {
		return err
	}
	if over {
		st.Censored(results.InstallSequential, nil, s.Took)
	} else {
		st.Record(results.InstallSequential, nil, s.Took.Seconds())
	}
	st.Record(results.Objects, map[string]string{results.Of: "rules installed"}, float64(s.Cost.Rules))
	// What a budget cut off is in no state to be closed, and closing one call an object
	// would take as long again.
	return st.Abandon()
}
