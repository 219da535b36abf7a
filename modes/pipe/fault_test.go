package pipe_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"viplab/modes"
	"viplab/modes/pipe"
)

// roleFake is the role of a program that misbehaves, in the way that its argument names.
const roleFake = "__fake-helper"

// TestMain plays that program, or runs the tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == roleFake {
		if fake(os.Args[2:]) != nil {
			os.Exit(3)
		}
		return
	}
	os.Exit(m.Run())
}

// late is by how much a program that takes its time is late: with its greeting, with
// reading on, and with its answers. Each is within the deadline, two together are not.
const late = 600 * time.Millisecond

const hello = `{"did":"hello","protocol":1,"name":"fake","version":"0"}`

// fake answers hello, and then does what it is told on its command line.
func fake(args []string) error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	say := map[string]string{"babbles": "hello, how are you?", "another protocol": `{"did":"hello","protocol":9}`}
	switch greeting := say[args[0]]; {
	case args[0] == "dies at once":
		fmt.Fprintln(os.Stderr, "no licence")
		return errors.New("no licence")
	case args[0] == "never greets":
		time.Sleep(time.Hour)
	case args[0] == "takes its time":
		time.Sleep(late)
		fmt.Println(hello)
		time.Sleep(late)
	case greeting != "":
		fmt.Println(greeting)
	default:
		fmt.Println(hello)
	}
	for in.Scan() {
		if !strings.Contains(in.Text(), `"do":"sync"`) && !strings.Contains(in.Text(), `"do":"close"`) {
			continue
		}
		if err := misbehave(args, in.Text()); err != nil {
			return err
		}
	}
	if args[0] == "does not end" {
		time.Sleep(time.Hour)
	}
	return nil
}

// misbehave answers a sync or a close.
func misbehave(args []string, line string) error {
	id, _, _ := strings.Cut(line[strings.Index(line, `"id":`)+5:], "}")
	did := map[bool]string{true: "closed", false: "programmed"}[strings.Contains(line, "close")]
	switch args[0] {
	case "dies after a sync":
		if did == "programmed" {
			fmt.Printf(`{"did":"programmed","id":%s}`+"\n", id)
			return errors.New("out of luck")
		}
		if err := os.WriteFile(args[1], nil, 0o600); err != nil {
			return err
		}
	case "dies in a sync":
		fmt.Fprintln(os.Stderr, "out of luck")
		return errors.New("out of luck")
	case "never says programmed":
		return nil
	case "takes its time":
		time.Sleep(late)
	case "answers another":
		id = "77"
	case "endless line":
		fmt.Print(strings.Repeat("x", 2<<20))
	case "refuses":
		if did == "programmed" {
			fmt.Printf(`{"did":"error","id":%s,"error":"the table is full"}`+"\n", id)
			return nil
		}
	case "leaves a child":
		child := exec.Command("sleep", "3600")
		if err := child.Start(); err != nil {
			return err
		}
		if err := os.WriteFile(args[1], []byte(strconv.Itoa(child.Process.Pid)), 0o600); err != nil {
			return err
		}
		return errors.New("left a child")
	}
	said := `"seconds":0.001`
	if args[0] == "says" {
		said = args[1]
	}
	fmt.Printf(`{"did":%q,"id":%s,%s}`+"\n", did, id, said)
	return nil
}

// misbehaving is a Proxier of a program that misbehaves.
func misbehaving(t *testing.T, args ...string) *pipe.Proxier {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return pipe.New(pipe.Options{Mode: "fake", Command: append([]string{self, roleFake}, args...), Family: modes.IPv4,
		Deadlines: pipe.Deadlines{Hello: 3 * time.Second, Sync: time.Second, Close: time.Second, End: 300 * time.Millisecond}})
}

// manyServices is more than a pipe and a buffer hold of what is told.
func manyServices() (s modes.Snapshot) {
	for i := range 400 {
		svc := *snapshot().Services[0]
		svc.Name = fmt.Sprintf("b%03d", i)
		s.Services = append(s.Services, &svc)
	}
	return s
}

func snapshot() modes.Snapshot {
	return modes.Snapshot{Services: []*modes.Service{{
		Namespace: "a", Name: "b", ClusterIP: netip.MustParseAddr("10.96.0.1"),
		Ports:     []modes.ServicePort{{Name: "p", Protocol: modes.TCP, Port: 80, TargetPort: 8080}},
		Endpoints: []modes.Endpoint{{Addr: netip.MustParseAddr("10.128.0.1")}},
	}}}
}

// TestFaults: whatever a program does wrong is a typed error that says what, in time, and
// the program is gone.
func TestFaults(t *testing.T) {
	for how, want := range map[string]error{
		"dies at once": pipe.ErrDied, "never greets": pipe.ErrSilent, "babbles": pipe.ErrNonsense, "another protocol": pipe.ErrNonsense,
		"dies in a sync": pipe.ErrDied, "never says programmed": pipe.ErrSilent, "answers another": pipe.ErrNonsense,
		"endless line": pipe.ErrNonsense, "refuses": pipe.ErrRefused,
	} {
		t.Run(how, func(t *testing.T) {
			p := misbehaving(t, how)
			start := time.Now()
			_, err := p.Sync(t.Context(), snapshot())
			var typed *pipe.HelperError
			if !errors.As(err, &typed) || !errors.Is(err, want) {
				t.Fatalf("Sync says %v, want %v", err, want)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if strings.HasPrefix(how, "dies") && !strings.Contains(typed.Said, "luck") && !strings.Contains(typed.Said, "licence") {
				t.Errorf("%v does not say what the program said", err)
			}
			running := p.ProcessIDs()
			_ = p.Close()
			for _, pid := range running {
				if syscall.Kill(pid, 0) == nil {
					t.Errorf("process %d is still there", pid)
				}
			}
			if left := p.ProcessIDs(); len(left) > 0 {
				t.Errorf("after Close there are processes %v", left)
			}
		})
	}
}

// TestRefusalIsNotTheEnd: a program that reported an error is asked again, and may be
// closed.
func TestRefusalIsNotTheEnd(t *testing.T) {
	p := misbehaving(t, "refuses")
	_, first := p.Sync(t.Context(), snapshot())
	before := p.ProcessIDs()
	_, second := p.Sync(t.Context(), snapshot())
	if !errors.Is(first, pipe.ErrRefused) || !errors.Is(second, pipe.ErrRefused) || !strings.Contains(second.Error(), "the table is full") {
		t.Errorf("%v, then %v", first, second)
	}
	if after := p.ProcessIDs(); len(after) != 1 || after[0] != before[0] {
		t.Errorf("processes %v, then %v", before, after)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestChildren: what a program started ends with it.
func TestChildren(t *testing.T) {
	note := t.TempDir() + "/pid"
	p := misbehaving(t, "leaves a child", note)
	if _, err := p.Sync(t.Context(), snapshot()); !errors.Is(err, pipe.ErrDied) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	// The signal was sent; the process goes as soon as the kernel gets to it.
	for range 100 {
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(state), ") Z ") {
			_ = p.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d outlives the program", pid)
}

// TestStubborn: a program that does not end when its input does is ended, and that is said.
func TestStubborn(t *testing.T) {
	p := misbehaving(t, "does not end")
	if _, err := p.Sync(t.Context(), snapshot()); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); !errors.Is(err, pipe.ErrSilent) {
		t.Errorf("Close says %v", err)
	}
}

// TestLimit: the caller's own limit ends a Sync too, and is told from the program's silence.
func TestLimit(t *testing.T) {
	p := misbehaving(t, "never says programmed")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := p.Sync(ctx, snapshot()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sync says %v", err)
	}
	_ = p.Close()
}

// TestApart: whatever becomes of a Sync, what starting and telling the program took is
// apart from what it is said to have taken, and from its deadline; what it was told counts
// as nothing that it has written.
func TestApart(t *testing.T) {
	for how, c := range map[string]struct {
		want        error
		apart       time.Duration // at least
		most, least time.Duration // the rest
	}{
		"dies at once":          {pipe.ErrDied, 1, late / 2, 0},
		"never says programmed": {pipe.ErrSilent, 1, 3 * late, late},
		"takes its time":        {nil, 3*late - 10*time.Millisecond, late, 1},
	} {
		t.Run(how, func(t *testing.T) {
			p := misbehaving(t, how)
			start := time.Now()
			cost, err := p.Sync(t.Context(), manyServices())
			took := time.Since(start) - cost.Apart
			if !errors.Is(err, c.want) {
				t.Errorf("Sync says %v, want %v", err, c.want)
			}
			if cost.Apart < c.apart || took < c.least || took > c.most {
				t.Errorf("it took %s, and %s apart; want %s to %s, and at least %s", took, cost.Apart, c.least, c.most, c.apart)
			}
			if cost.Bytes > 0 {
				t.Errorf("%d bytes count as written by a program that wrote none", cost.Bytes)
			}
			_ = p.Close()
		})
	}
}

// TestFound: a program is found in the PATH of who started the lab, and one that is nowhere
// is a missing capability that names it.
func TestFound(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\nread hello; echo '" + hello + "'; read eof; exit 0\n"
	if err := os.WriteFile(dir+"/my-proxy", []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv(modes.CallerPath, "relative:"+dir)
	t.Setenv("PATH", "/usr/bin:/bin")
	for name, want := range map[string]string{
		"my-proxy": "", "no-such-proxy": "the program no-such-proxy", "/nowhere/my-proxy": "the program /nowhere/my-proxy", dir: "the program " + dir,
	} {
		err := pipe.New(pipe.Options{Mode: "mine", Command: []string{name}, Family: modes.IPv4}).Probe(t.Context())
		var missing *modes.MissingError
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (!errors.As(err, &missing) || missing.Need != want):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestImpossible: what a program says its sync took and cannot have taken is set aside.
func TestImpossible(t *testing.T) {
	for said, want := range map[string]modes.Cost{
		`"cpu_seconds":0.001`:                                {ToolCPU: time.Millisecond},
		`"cpu_seconds":1e9,"seconds":1e6`:                    {},
		`"cpu_seconds":1e300,"seconds":1e300`:                {},
		`"cpu_seconds":-1,"seconds":-1,"rules":7`:            {Rules: 7},
		`"rules":-1,"objects":-2,"tool_calls":-3,"bytes":-4`: {},
	} {
		p := misbehaving(t, "says", said)
		start := time.Now()
		got, err := p.Sync(t.Context(), snapshot())
		if err != nil {
			t.Fatal(err)
		}
		if got.Commit <= 0 || got.Commit > time.Since(start) {
			t.Errorf("%s: it took %s", said, got.Commit)
		}
		if want.Objects = 2; got.ToolCPU != want.ToolCPU || got.Rules != want.Rules || got.Objects != want.Objects || got.ToolCalls != 0 || got.Bytes != 0 {
			t.Errorf("%s: %+v", said, got)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCloseOfTheDead: what a program left that has ended since its last sync is removed by
// another one.
func TestCloseOfTheDead(t *testing.T) {
	note := t.TempDir() + "/closed"
	p := misbehaving(t, "dies after a sync", note)
	if _, err := p.Sync(t.Context(), snapshot()); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(note); err != nil {
		t.Errorf("no program was asked to remove what is left: %v", err)
	}
}

// TestCloseAgain: a Close that failed is tried again by the next one, and no further one
// starts anything.
func TestCloseAgain(t *testing.T) {
	p := misbehaving(t, "dies in a sync")
	if _, err := p.Sync(t.Context(), snapshot()); !errors.Is(err, pipe.ErrDied) {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Close(); !errors.Is(err, pipe.ErrDied) {
			t.Errorf("Close says %v", err)
		}
	}
	p.Command[len(p.Command)-1] = "refuses" // a sync, but no close
	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("Close says %v", err)
		}
	}
	if left := p.ProcessIDs(); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}
