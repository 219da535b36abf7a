package workload

import (
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// Loops of a [Machine], fixed work whose cost tells how fast the machine is now.
const (
	LoopCompute = "compute" // a chain of multiplications: the processor's clock
	LoopWalk    = "walk"    // memory a rule apart, in order, as a chain of rules is walked
	LoopChase   = "chase"   // memory at random, each address out of the last one: misses of the cache
	LoopSyscall = "syscall" // getppid
)

// Loops lists them.
func Loops() []string { return []string{LoopCompute, LoopWalk, LoopChase, LoopSyscall} }

const (
	// machineBytes is the memory that is walked: beyond the caches of one core, and near
	// what the rules of 20000 Services take (some 30 MB).
	machineBytes = 32 << 20
	// ruleBytes is how far apart the walk reads: an iptables rule of kube-proxy's is 200 to
	// 300 bytes in the kernel.
	ruleBytes = 256

	computeSteps = 1 << 20
	chaseSteps   = 1 << 15
	syscallSteps = 1 << 12
)

// Machine measures how fast the machine is, by loops that are the same in every run.
type Machine struct {
	next []uint32 // of the chase: where each place leads
	sink uint64   // what the loops computed, so that they are not optimised away
}

// NewMachine takes 32 MB and draws the way through them. The way is always the same.
func NewMachine() *Machine {
	const stride = ruleBytes / 4
	m := &Machine{next: make([]uint32, machineBytes/4)}
	order := rand.New(rand.NewPCG(1, 1)).Perm(machineBytes / ruleBytes)
	for i, place := range order {
		m.next[place*stride] = uint32(order[(i+1)%len(order)] * stride)
	}
	return m
}

// Measure is the time of one step of each loop, in seconds. It takes some 15 ms natively, and 30 in a
// guest.
func (m *Machine) Measure() map[string]float64 {
	return map[string]float64{
		LoopCompute: timed(computeSteps, m.compute),
		LoopWalk:    timed(machineBytes/ruleBytes, m.walk),
		LoopChase:   timed(chaseSteps, m.chase),
		LoopSyscall: timed(syscallSteps, func(n int) {
			for range n {
				_ = unix.Getppid()
			}
		}),
	}
}

func timed(steps int, loop func(int)) float64 {
	start := time.Now()
	loop(steps)
	return time.Since(start).Seconds() / float64(steps)
}

func (m *Machine) compute(n int) {
	x := m.sink | 1
	for range n {
		x = x*6364136223846793005 + 1442695040888963407 // the generator of Knuth, MMIX
	}
	m.sink = x
}

func (m *Machine) walk(n int) {
	const stride = ruleBytes / 4
	var sum uint32
	for i := range n {
		sum += m.next[i*stride]
	}
	m.sink += uint64(sum)
}

func (m *Machine) chase(n int) {
	at := uint32(0)
	for range n {
		at = m.next[at]
	}
	m.sink += uint64(at)
}
