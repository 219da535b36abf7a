package simulate

import (
	"viplab/modes"
	"viplab/modes/iptables"
	"viplab/modes/snapshot/synth"
)

// Era is a kernel whose ip_tables did something on each change that later ones do
// not, or did it more often.
type Era struct {
	Name  string
	About string
	// PerCPU is set when a call made a copy of the table for each CPU, beside the
	// copies to and from the tool.
	PerCPU bool
	// Search is set when the target of each jump was looked for from the start of
	// the table.
	Search bool
}

// Eras lists the kernels, from the newest.
func Eras() []Era {
	return []Era{
		{"since 4.8", "the whole table to the tool and back for each call; jump targets by binary search (commit f4dc77713f80)", false, false},
		{"4.7 and backports", "each jump's target searched for from the start of the table (commit 36472341017529, 4.7 and stable kernels such as 4.4)", false, true},
		{"before 4.2", "one copy of the table for each CPU (until commit 482cfc318559, 4.2)", true, false},
	}
}

// Job is rules that are put there one call after another, as `iptables -A` does.
type Job struct {
	Rules int `json:"rules"`
	Jumps int `json:"jumps"` // of Rules, that jump to a chain of their own
	Bytes int `json:"bytes"` // of the table in the end
	CPUs  int `json:"cpus"`
}

// PlainJob is n rules without matches but addresses and without chains: 8 a
// Service, as the published table counts them.
func PlainJob(n, cpus int) Job {
	return Job{Rules: n, Bytes: n * (112 + 40), CPUs: cpus}
}

// KubeJob is the rules of a mode's state, as kube-proxy structures them.
func KubeJob(c modes.Counts, cpus int) Job {
	rules, chains := int(c[modes.CountRules]), int(c[modes.CountChains])
	return Job{Rules: rules + chains, Jumps: rules - chains/2, Bytes: int(c[modes.CountBlob]), CPUs: cpus}
}

// Counts is what a Job does in an Era.
type Counts struct {
	Calls    float64 `json:"calls"`
	Entries  float64 `json:"entries_handled"`  // by tool and kernel: parsed, checked, written
	Bytes    float64 `json:"bytes_copied"`     // beside the copies to and from the tool, which are part of an entry's cost
	Searched float64 `json:"entries_searched"` // for targets of jumps
}

// Count counts the operations of a Job: call i finds i rules there, so all sums
// are those of arithmetic series.
func (e Era) Count(j Job) Counts {
	n := float64(j.Rules)
	half := n * (n + 1) / 2 // the sum of 1 to n
	size := float64(j.Bytes) / n
	c := Counts{Calls: n, Entries: half}
	if e.PerCPU {
		c.Bytes = float64(j.CPUs) * size * half
	}
	if e.Search {
		// With i rules there are i·share jumps, each searched for through half of
		// the table: the sum of i²/2 is n³/6.
		c.Searched = float64(j.Jumps) / n * n * n * n / 6
	}
	return c
}

// EraCosts is what the operations of a call cost, in seconds.
type EraCosts struct {
	Call  float64 `json:"call"`
	Entry float64 `json:"entry"`
	Byte  float64 `json:"byte"`
	Step  float64 `json:"search_step"`
	// Source says where they come from.
	Source string `json:"source"`
}

// Costs of one entry looked at in a search, and of a byte copied: 2 ns is an entry
// of some 150 bytes that follows in memory, 0.2 ns a byte copied twice through
// caches. Both are assumptions about machines of 2017, not measurements.
const (
	searchStep = 2e-9
	byteCopy   = 0.1e-9
)

// Seconds is how long a Job takes.
func (c EraCosts) Seconds(n Counts) float64 {
	return n.Calls*c.Call + n.Entries*c.Entry + n.Bytes*c.Byte + n.Searched*c.Step
}

// JobEra is a Job in an Era: what it does and how long that takes.
type JobEra struct {
	Services  int      `json:"services"`
	Job       string   `json:"job"`
	Era       string   `json:"era"`
	Counts    Counts   `json:"counts"`
	Seconds   float64  `json:"seconds"`
	Published float64  `json:"published_seconds"`
	Costs     EraCosts `json:"costs"`
}

// PublishedTable is the published "latency to add a rule" in seconds, by Services
// of eight rules each (Huawei, LinuxCon China 2017).
func PublishedTable() map[int]float64 { return map[int]float64{5000: 11 * 60, 20000: 5 * 3600} }

// eraCosts are from the healthy column of Cloud Foundry's published regression
// measurements, which is of the time and software of the published table: 0.815 s
// for 1000 calls and 3.975 s for 3000. With a call's fixed part a and an entry's b,
// N calls take a·N + b·N²/2.
func eraCosts() EraCosts {
	const n1, t1, n2, t2 = 1000, 0.815, 3000, 3.975
	b := 2 * (t2/n2 - t1/n1) / (n2 - n1)
	return EraCosts{Call: t1/n1 - b*n1/2, Entry: b, Step: searchStep, Byte: byteCopy,
		Source: "published: Cloud Foundry 2017, kernel without the regression, 1000 and 3000 calls"}
}

// PublishedJobs asks which job in which era would take as long as the published
// table says: one more rule, all rules in one call each, plain ones and in
// kube-proxy's structure.
func PublishedJobs(spec synth.Spec) ([]JobEra, error) {
	const cpus, perService = 4, 8
	costs := eraCosts()
	var out []JobEra
	for _, services := range []int{5000, 20000} {
		spec.Services = services
		state, err := StateOf(iptables.Mode(), nil, spec)
		if err != nil {
			return nil, err
		}
		for _, era := range Eras() {
			for _, j := range []struct {
				name string
				job  Job
				one  bool
			}{
				{"one more rule on top of all", PlainJob(perService*services, cpus), true},
				{"all rules, one call each, without chains", PlainJob(perService*services, cpus), false},
				{"all rules, one call each, in kube-proxy's structure", KubeJob(state, cpus), false},
			} {
				n := era.Count(j.job)
				if j.one {
					less := j.job
					less.Rules--
					less.Bytes -= less.Bytes / j.job.Rules
					n = n.minus(era.Count(less))
				}
				out = append(out, JobEra{services, j.name, era.Name, n, costs.Seconds(n), PublishedTable()[services], costs})
			}
		}
	}
	return out, nil
}

func (c Counts) minus(o Counts) Counts {
	return Counts{c.Calls - o.Calls, c.Entries - o.Entries, c.Bytes - o.Bytes, c.Searched - o.Searched}
}
