package story_test

import (
	"errors"
	"net/netip"
	"os"
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

// hosts are the lab's, and own all addresses of its node.
func hosts(f modes.Family) story.Hosts { return story.Hosts{Client: client(f), Node: node(f)} }

var own = []netip.Addr{netip.MustParseAddr("10.255.255.1"), node(modes.IPv4), netip.MustParseAddr("fd00:10:128:0:ffff::1"), node(modes.IPv6)}

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
			if err := mode.Limits.CheckAll(mode.Name, b.Snapshot); err != nil {
				continue
			}
			b.Snapshot.Node.Addrs = own
			outcomes, err := b.Trace(mode, nil, hosts)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range outcomes {
				told++
				if o.Wrong != "" {
					t.Errorf("%s, %s: %s: %s", mode.Name, b.Name, o.Title, o.Wrong)
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
	if refused != 16 {
		t.Errorf("%d books were refused, want 16", refused)
	}
}

// TestPage: the file that docs/scenarios.md shows is one, and what it tells holds.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "## Stories\n")
	_, text, _ = strings.Cut(text, "\n\n    ")
	text, _, _ = strings.Cut(text, "\n\n|")
	b, err := story.Text{Name: "page", Text: text}.Read()
	if err != nil || len(b.Snapshot.Services) < 3 || len(b.Stories) < 4 {
		t.Fatalf("%v: %d Services, %d stories", err, len(b.Snapshot.Services), len(b.Stories))
	}
	b.Snapshot.Node.Addrs = own
	for _, mode := range catalog.All().Serving() {
		if mode.Limits.CheckAll(mode.Name, b.Snapshot) != nil {
			continue
		}
		outcomes, err := b.Trace(mode, nil, hosts)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			if o.Wrong != "" {
				t.Errorf("%s: %s: %s", mode.Name, o.Title, o.Wrong)
			}
		}
	}
}

// TestServicesAlone: a file without a story has Services to program, and nothing to tell.
func TestServicesAlone(t *testing.T) {
	const text = "service a 10.96.0.1 port tcp/80:8080 to 10.128.0.1"
	if b, err := story.Read("s.txt", strings.NewReader(text)); err != nil || len(b.Snapshot.Services) != 1 {
		t.Errorf("%v, %v", b, err)
	}
	if _, err := (story.Text{Name: "s.txt", Text: text}).Read(); err == nil || !strings.Contains(err.Error(), "s.txt: it tells no story") {
		t.Errorf("got %v", err)
	}
}

// TestBadStories: one clear sentence, with the line.
func TestBadStories(t *testing.T) {
	const svc = "cluster 10.128.0.0/9\nservice a 10.96.0.1 port tcp/80:8080 to 10.128.0.1"
	const tale = "\nx: client tcp 10.96.0.1:80 => refused"
	for want, text := range map[string]string{
		"line 3: \"nonsense\" is no":      svc + "\nnonsense",
		"unknown fate":                    svc + "\nx: client tcp 10.96.0.1:80 => eaten",
		"unknown protocol":                svc + "\nx: client icmp 10.96.0.1:80 => refused",
		"not \"moon\"":                    svc + "\nx: moon tcp 10.96.0.1:80 => refused",
		"unknown word":                    svc + " colour blue" + tale,
		"unknown policy":                  svc + " policy mine" + tale,
		"is no port":                      "service a 10.96.0.1 port tcp/80" + tale,
		"affinity must be":                svc + " affinity 48h" + tale,
		"node port must be 30000-32767":   "node range 30000-32767\nservice a 10.96.0.1 port tcp/80:8080:80" + tale,
		"node, range: expected integer":   "node range many" + tale,
		"node needs words in pairs":       "node masquerade" + tale,
		"unknown setting \"some\"":        "node masquerade some" + tale,
		"unknown mark \"lokal\"":          svc + "@lokal" + tale,
		"unknown hint \"there\"":          svc + "@zone=there" + tale,
		"what may be published is":        svc + " publish all" + tale,
		"gives a target port":             "service a 10.96.0.1 port tcp/80:http to 10.128.0.1" + tale,
		"serves port \"tcp81\" only":      svc + "@only=tcp81" + tale,
		"of the other address family":     svc + "\nx: client tcp 10.96.0.1:80 => refused\ny: fd00::1 tcp 10.96.0.1:80 => refused",
		"health check port 30001 is a no": "service a 10.96.0.1 port tcp/80:8080:30001\nservice b 10.96.0.2 port tcp/80:8080 health 30001" + tale,
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
		if err != nil {
			return
		}
		again, err := b.Snapshot.Normal()
		if err != nil || len(modes.Diff(b.Snapshot, again)) > 0 {
			t.Errorf("a snapshot that is not in normal form was read: %v", err)
		}
	})
}
