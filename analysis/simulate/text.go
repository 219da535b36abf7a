package simulate

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"viplab/analysis/summary"
	"viplab/modes"
	"viplab/results"
)

func seconds(v float64) string {
	if v == 0 || math.IsNaN(v) {
		return "-"
	}
	for _, u := range []struct {
		scale float64
		name  string
	}{{86400, "d"}, {3600, "h"}, {60, "min"}} {
		if v >= 2*u.scale {
			return summary.Number(v/u.scale) + " " + u.name
		}
	}
	u := summary.UnitFor(results.SyncFull, v)
	return summary.Number(v/u.Scale) + " " + u.Name
}

func size(v float64) string {
	if v == 0 {
		return "-"
	}
	u := summary.UnitFor(results.KernelMemory, v)
	return summary.Number(v/u.Scale) + " " + u.Name
}

// grid writes rows of cells in columns.
func grid(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(tw, strings.Join(r, "\t"))
	}
	return tw.Flush()
}

// WritePredictions writes a table of predictions.
func WritePredictions(w io.Writer, c *Calibration, list []Prediction) error {
	fmt.Fprintf(w, "Simulated, not measured. Calibrated with: %s, %v Services.\n\n", c.Source, c.Sizes)
	rows := [][]string{{"services", "mode", "first packet p01", "p50", "p99", "rules looked at", "full sync", "add a Service", "add an endpoint", "rules", "table", "text", "kernel memory"}}
	for _, p := range list {
		d := p.FirstPacket
		rows = append(rows, []string{fmt.Sprint(p.Services), p.Mode, seconds(d.P01), seconds(d.P50), seconds(d.P99), summary.Number(p.Looked),
			seconds(p.Costs[modes.FullSync]), seconds(p.Costs[modes.ServiceAdd]), seconds(p.Costs[modes.EndpointAdd]),
			fmt.Sprintf("%.0f", p.State[modes.CountRules]), size(p.State[modes.CountBlob]), size(p.State[modes.CountText]), size(p.Costs[modes.KernelMemory])})
	}
	return grid(w, rows)
}

// CheckRows is the held-out check as a table, each cell with its error.
func CheckRows(checks []Check) [][]string {
	rows := [][]string{{"quantity", "mode", "position", "services", "measured", "simulated", "error"}}
	for _, c := range checks {
		show := seconds
		if strings.HasSuffix(c.Quantity, "memory") {
			show = size
		}
		rows = append(rows, []string{c.Quantity, c.Label(), c.Position, fmt.Sprint(c.Services), show(c.Measured), show(c.Predicted), fmt.Sprintf("%+.0f %%", 100*c.Error())})
	}
	return rows
}

// CheckSentence sums the held-out check up, naming the worst cell.
func CheckSentence(checks []Check, median float64, upTo int) string {
	if len(checks) == 0 {
		return fmt.Sprintf("Nothing larger than %s was measured: predictions cannot be checked.", summary.CountServices(upTo))
	}
	worst := checks[0]
	for _, c := range checks {
		if math.Abs(c.Error()) > math.Abs(worst.Error()) {
			worst = c
		}
	}
	where := worst.Label()
	if worst.Position != "" {
		where += ", " + worst.Position
	}
	return fmt.Sprintf("Fitted on sizes up to %d, held against larger ones: median absolute error %.0f %% over %d cells; the worst is %s of %s at %s, %+.0f %%.",
		upTo, 100*median, len(checks), worst.Quantity, where, summary.CountServices(worst.Services), 100*worst.Error())
}

// WriteChecks writes the held-out check.
func WriteChecks(w io.Writer, checks []Check, median float64, upTo int) error {
	if err := grid(w, CheckRows(checks)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", CheckSentence(checks, median, upTo))
	return err
}

// WriteChoices writes the choice of a parameter's value.
func WriteChoices(w io.Writer, param string, services int, list []Choice) error {
	rows := [][]string{{param, "first packet, mean", "rules looked at", "jumps", "rules", "full sync"}}
	for _, c := range list {
		rows = append(rows, []string{c.Value, seconds(c.FirstPacket), summary.Number(c.Looked), summary.Number(c.Jumps), fmt.Sprintf("%.0f", c.Rules), seconds(c.FullSync)})
	}
	if err := grid(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nBest for %s, simulated: %s.\n", summary.CountServices(services), list[0].Value)
	return err
}

// WriteKeepUp writes whether modes keep up with changes.
func WriteKeepUp(w io.Writer, rate, minSync float64, list []KeepUp) error {
	fmt.Fprintf(w, "Simulated: %s endpoint changes a second at random times, at least %s s between two syncs.\n\n",
		summary.Plain(rate), summary.Plain(minSync))
	rows := [][]string{{"services", "mode", "a sync writes", "a sync takes", "wait p50", "wait p99", "busy", "keeps up"}}
	for _, k := range list {
		yes := "yes"
		if !k.KeepsUp {
			yes = "no"
		}
		rows = append(rows, []string{fmt.Sprint(k.Services), k.Mode, k.Update, seconds(k.Sync), seconds(k.P50), seconds(k.P99), fmt.Sprintf("%.0f %%", 100*k.Busy), yes})
	}
	return grid(w, rows)
}

// within is the factor up to which a simulated time is taken for the published one.
const within = 2

// WriteEras writes what the published table most probably was.
func WriteEras(w io.Writer, list []JobEra) error {
	rows := [][]string{{"services", "job", "kernel", "calls", "entries handled", "entries searched", "simulated", "published", "ratio"}}
	fits := map[string]int{}
	for _, j := range list {
		ratio := j.Seconds / j.Published
		if ratio > 1.0/within && ratio < within {
			fits[j.Job+", kernel "+j.Era]++
		}
		rows = append(rows, []string{fmt.Sprint(j.Services), j.Job, j.Era, summary.Plain(j.Counts.Calls), summary.Plain(j.Counts.Entries),
			summary.Plain(j.Counts.Searched), seconds(j.Seconds), seconds(j.Published), summary.Number(ratio)})
	}
	if err := grid(w, rows); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nSimulated, not measured. Costs of a call and an entry: %s; of a search step: assumed, 2 ns.\n", list[0].Costs.Source)
	for _, j := range list {
		name := j.Job + ", kernel " + j.Era
		if fits[name] == 2 {
			fmt.Fprintf(w, "Within a factor of %d at both sizes: %s.\n", within, name)
			delete(fits, name)
		}
	}
	_, err := fmt.Fprintln(w, "How sure: the published table names neither hardware nor kernel nor method, so a match in size is evidence, not proof; a job that is off by orders of magnitude at both sizes can be ruled out.")
	return err
}
