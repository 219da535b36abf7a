package dump_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/packet/dump"
	"viplab/modes/packet/story"
)

// Addresses of the node that the dumps of testdata are of, and of its client.
var (
	nodeAddrs = []netip.Addr{
		netip.MustParseAddr("10.64.0.1"), netip.MustParseAddr("10.255.255.1"),
		netip.MustParseAddr("fd00:10:64::1"), netip.MustParseAddr("fd00:10:128:0:ffff::1"),
	}
	clients = map[modes.Family]netip.Addr{modes.IPv4: netip.MustParseAddr("10.255.255.2"), modes.IPv6: netip.MustParseAddr("fd00:10:128:0:ffff::2")}
	nodes   = map[modes.Family]netip.Addr{modes.IPv4: nodeAddrs[0], modes.IPv6: nodeAddrs[2]}
)

func hosts(f modes.Family) story.Hosts { return story.Hosts{Client: clients[f], Node: nodes[f]} }

// differs are the stories that the real kube-proxy is known to tell otherwise, by kind and
// release of the dump; its conformance test says why.
var differs = map[string]string{
	"ipvs-1.37.2: 5-sources.txt: the node is a source like others":      "dropped",
	"ipvs-1.37.2: 7-ipv6.txt: an endpoint reaches itself over IPv6":     "not the node",
	"nftables-1.37.2: 7-ipv6.txt: an endpoint reaches itself over IPv6": "not the node",
}

// TestStoriesOfKubeProxy: the dumps of a node on which the real kube-proxy programmed the
// Services of a story lead the story's packets where the kernel led them.
func TestStoriesOfKubeProxy(t *testing.T) {
	books, err := story.All()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("testdata/kube-proxy/*.txt")
	if err != nil || len(paths) < 16 {
		t.Fatalf("%v: %v", err, paths)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) { follows(t, books, name, read(t, path)) })
		if strings.HasPrefix(name, "nftables") {
			t.Run(name+" in numbers", func(t *testing.T) { follows(t, books, name, of(t, inNumbers(t, path))) })
		}
	}
}

// follows holds what a dump leads packets to against the stories that its name tells.
func follows(t *testing.T, books []story.Book, path string, d *dump.Dump) {
	t.Helper()
	programs := map[modes.Family]modes.Program{}
	for _, f := range modes.Dual.Parts() {
		programs[f] = d.Program(f, dump.Node{Addrs: nodeAddrs})
	}
	words := strings.SplitN(path, "-", 3)
	kind, release, name := words[0], words[1], words[2]
	for _, b := range books {
		if b.Name != name {
			continue
		}
		for _, o := range b.Follow(programs, kind, hosts) {
			if kind == "nftables" && o.In(kind).Kind == story.Stays {
				continue // the sets tell who had which endpoint: see TestAffinitySet
			}
			title := kind + "-" + release + ": " + name + ": " + o.Title
			// Whether packets come by a bridge no dump tells, and it decides nothing.
			bridged := strings.HasSuffix(o.Way.Unknown, ": -m physdev ! --physdev-is-in") && o.Way.Fate != modes.Undecided
			if (o.Wrong != "") != (differs[title] != "") || !strings.Contains(o.Wrong, differs[title]) || o.Way.Unknown != "" && !bridged {
				t.Errorf("%s: %s: %q, listed %q, unknown %q", name, o.Title, o.Wrong, differs[title], o.Way.Unknown)
			}
		}
	}
}

// inNumbers is a dump of nft as nft -nj writes it.
func inNumbers(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, n := range map[string]string{"tcp": "6", "udp": "17", "local": "2"} {
		text = regexp.MustCompile(`([\[,] ?|"right": )"`+name+`"`).ReplaceAllString(text, "${1}"+n)
	}
	return text
}

func read(t *testing.T, paths ...string) *dump.Dump {
	t.Helper()
	d, err := dump.Read(paths, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// of is a dump of some text.
func of(t *testing.T, text string) *dump.Dump {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}
