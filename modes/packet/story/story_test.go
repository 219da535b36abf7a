package story_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/catalog"
	"viplab/modes/packet/story"
)

// node and client are those of the lab's topology.
func node(f modes.Family) netip.Addr {
	if f == modes.IPv6 {
		return netip.MustParseAddr("fd00:10:64::1")
	}
	return netip.MustParseAddr("10.64.0.1")
}

func client(f modes.Family) netip.Addr {
	if f == modes.IPv6 {
		return netip.MustParseAddr("fd00:10:128:0:ffff::2")
	}
	return netip.MustParseAddr("10.255.255.2")
}

// TestTracer tells every story with the tracer, in every mode that can.
func TestTracer(t *testing.T) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, mode := range catalog.All().Serving() {
		told := 0
		for _, b := range books {
			if err := mode.Limits.Check(mode.Name, b.Snapshot.Services...); err != nil {
				continue
			}
			programs := map[modes.Family]modes.Program{}
			for _, f := range []modes.Family{modes.IPv4, modes.IPv6} {
				if programs[f], err = mode.Plan(nil, b.Snapshot, node(f)); err != nil {
					t.Fatal(err)
				}
			}
			had := map[string]netip.Addr{}
			for _, s := range b.Stories {
				told++
				if msg := follow(programs[modes.FamilyOf(s.Dst.Addr())], s, s.In(mode.Name), had); msg != "" {
					t.Errorf("%s, %s: %s: %s", mode.Name, b.Name, s.Title, msg)
				}
			}
		}
		t.Logf("%s: %d stories", mode.Name, told)
		total = max(total, told)
	}
	if total < 60 {
		t.Errorf("%d stories, want at least 60", total)
	}
}

// follow tells one story and says what is wrong with how it went.
func follow(program modes.Program, s story.Story, want story.Fate, had map[string]netip.Addr) string {
	family := modes.FamilyOf(s.Dst.Addr())
	f := modes.Flow{From: modes.FromClient, Proto: s.Proto, Src: netip.AddrPortFrom(client(family), 40000), Dst: s.Dst}
	switch s.From {
	case "client":
	case "node":
		f.From, f.Src = modes.FromNode, netip.AddrPortFrom(node(family), 40000)
		if s.Dst.Addr().IsLoopback() {
			f.Src = s.Dst
		}
	default:
		f.From, f.Src = modes.FromPod, netip.AddrPortFrom(netip.MustParseAddr(s.From), 40000)
	}
	key := s.From + s.Dst.String() + string(s.Proto)
	if want.Kind == story.Stays {
		f.Before, f.Pick = had[key], 1
	}
	w := program.Follow(node(family), f)
	had[key] = w.To.Addr()
	switch want.Kind {
	case story.Endpoint:
		to := w.To
		if w.Fate == modes.Unchanged && slices.Contains(want.Endpoints, s.Dst.Addr()) {
			to = s.Dst // past the Services
		} else if w.Fate != modes.ToEndpoint {
			return "the packet came to " + string(w.Fate)
		}
		if !slices.Contains(want.Endpoints, to.Addr()) {
			return "the packet came to " + to.String()
		}
		if kept := !w.Masqueraded && s.From != "node"; kept != want.Kept {
			return "the source is not the one expected"
		}
	case story.Stays:
		if w.To.Addr() != f.Before {
			return "it went from " + f.Before.String() + " to " + w.To.String()
		}
	case story.Refused:
		if w.Fate != modes.Refused {
			return "the packet came to " + string(w.Fate)
		}
	case story.Dropped:
		if w.Fate != modes.Lost && w.Fate != modes.Closed {
			return "the packet came to " + string(w.Fate)
		}
	case story.Closed:
		if w.Fate != modes.Closed {
			return "the packet came to " + string(w.Fate)
		}
	case story.Unserved:
		if w.Fate != modes.Unchanged && w.Fate != modes.ToNode {
			return "the packet came to " + string(w.Fate)
		}
	}
	return ""
}

// TestLimits: what a mode cannot do it says, with a type.
func TestLimits(t *testing.T) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	mode, err := catalog.All().Find("userspace")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, b := range books {
		var unsupported *modes.UnsupportedError
		if err := mode.Limits.Check("userspace", b.Snapshot.Services...); errors.As(err, &unsupported) {
			refused++
			if !strings.Contains(err.Error(), unsupported.Why) || unsupported.Why == "" {
				t.Errorf("%v gives no reason", err)
			}
		}
	}
	if refused != 4 {
		t.Errorf("%d books were refused, want 4", refused)
	}
}

// TestBadStories: one clear sentence, with the line.
func TestBadStories(t *testing.T) {
	const svc = "cluster 10.128.0.0/9\nservice a 10.96.0.1 port tcp/80:8080 to 10.128.0.1"
	const tale = "\nx: client tcp 10.96.0.1:80 => refused"
	for want, text := range map[string]string{
		"tells no story":                  svc,
		"line 3: \"nonsense\" is no":      svc + "\nnonsense",
		"unknown fate":                    svc + "\nx: client tcp 10.96.0.1:80 => eaten",
		"unknown protocol":                svc + "\nx: client icmp 10.96.0.1:80 => refused",
		"not \"moon\"":                    svc + "\nx: moon tcp 10.96.0.1:80 => refused",
		"unknown word":                    svc + " colour blue" + tale,
		"unknown policy":                  svc + " policy mine" + tale,
		"is no port":                      "service a 10.96.0.1 port tcp/80" + tale,
		"affinity must be":                svc + " affinity 48h" + tale,
		"node port must be 30000 to":      "service a 10.96.0.1 port tcp/80:8080:80" + tale,
		"both claim 10.96.0.1:80":         svc + "\nservice b 10.96.0.1 port tcp/80:8080" + tale,
		"both claim 0.0.0.0:30000":        "service a 10.96.0.1 port tcp/80:8080:30000\nservice b 10.96.0.2 port tcp/80:8080:30000" + tale,
		"families cannot be mixed":        "service a 10.96.0.1 port tcp/80:8080 to fd00::1" + tale,
		"is a loopback address":           "service a 127.0.0.1 port tcp/80:8080" + tale,
		"endpoint needs a list and":       svc + "\nx: client tcp 10.96.0.1:80 => endpoint 10.128.0.1",
		"names no mode":                   svc + "\nx: client tcp 10.96.0.1:80 => refused; dropped",
		"service needs a name, an":        "service a" + tale,
		"needs one range":                 "cluster" + tale,
		"unexpected character":            "service a b.c.d.e port tcp/80:8080" + tale,
		"want protocol/port:target[:node": "service a 10.96.0.1 port 80:8080" + tale,
	} {
		if _, err := story.Read("s.txt", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	books, err := story.All()
	if err != nil || len(books) == 0 {
		f.Fatal(err)
	}
	f.Add("cluster 10.128.0.0/9\nservice a 10.96.0.1 port tcp/80:8080:30080 to 10.128.0.1@local affinity 5s\nx: client tcp 10.96.0.1:80 => endpoint 10.128.0.1 source kept; ipvs: dropped")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := story.Read("fuzz", strings.NewReader(text))
		if err == nil && b.Snapshot.Validate() != nil {
			t.Error("a snapshot that is not valid was read")
		}
	})
}
