package kube_test

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"viplab/modes"
	"viplab/modes/snapshot/kube"
	"viplab/modes/snapshot/kube/kubetest"
	"viplab/modes/snapshot/synth"
)

// text is a cluster of some size in some format.
func text(t testing.TB, services int, f kubetest.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := (kubetest.Spec{Services: services, Seed: 1}).Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func cluster(t testing.TB, node, text string) kube.Cluster {
	t.Helper()
	var o kube.Objects
	if err := o.Decode("t.yaml", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	c, err := o.Cluster(node)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lab is the lab's network.
func lab() []kube.Network {
	p := netip.MustParsePrefix
	return []kube.Network{
		{VIPs: synth.VIPRange, Endpoints: synth.EndpointRange, Taken: []netip.Prefix{p("10.255.255.0/30")}},
		{VIPs: synth.VIPRange6, Endpoints: synth.EndpointRange6, Taken: []netip.Prefix{p("fd00:10:128:0:ffff::/126")}},
	}
}

// TestFormats: a cluster is the same in all formats, and has some of everything.
func TestFormats(t *testing.T) {
	var all []kube.Cluster
	for _, f := range kubetest.Formats() {
		all = append(all, cluster(t, "", string(text(t, 400, f))))
	}
	for i := range all[1:] {
		if !reflect.DeepEqual(all[0], all[i+1]) {
			t.Errorf("%s gives another cluster", kubetest.Formats()[i+1])
		}
	}
	counts := map[string]int{}
	count := func(what string, has bool) {
		if has {
			counts[what]++
		}
	}
	for _, svc := range all[0].Snapshot.Services {
		any := func(is func(modes.Endpoint) bool) bool { return slices.ContainsFunc(svc.Endpoints, is) }
		count("IPv6", svc.Family() == modes.IPv6)
		count("external", svc.External())
		count("balancer", len(svc.LoadBalancerIPs) > 0)
		count("ranges", len(svc.SourceRanges) > 0)
		count("external Local", svc.ExternalLocal)
		count("internal Local", svc.InternalLocal)
		count("health port", svc.HealthPort != 0)
		count("affinity", svc.Affinity > 0)
		count("no endpoint", len(svc.Endpoints) == 0)
		count("many endpoints", len(svc.Endpoints) > 30)
		count("local endpoints", len(svc.Local()) > 0)
		count("terminating", any(func(ep modes.Endpoint) bool { return ep.Condition == modes.Terminating }))
		count("unready", any(func(ep modes.Endpoint) bool { return ep.Condition == modes.Unready }))
		count("ports of their own", any(func(ep modes.Endpoint) bool { return ep.Port != 0 }))
		count("for one port", any(func(ep modes.Endpoint) bool { return ep.Only != "" }))
		count("hints here", any(func(ep modes.Endpoint) bool { return ep.ZoneHint == modes.Here }))
		count("hints away", any(func(ep modes.Endpoint) bool { return ep.ZoneHint == modes.Elsewhere }))
	}
	for _, l := range all[0].LeftOut {
		for _, why := range []string{"headless", "ExternalName", "is a proxy", "known by name alone"} {
			count(why, strings.Contains(l.Reason, why))
		}
	}
	if len(counts) != 21 {
		t.Errorf("%d of 21 kinds occur: %v", len(counts), counts)
	}
	t.Log(counts)
}

// TestIntoAndTimes: mapping is one to one and keeps what Services share; multiplying keeps
// the distribution.
func TestIntoAndTimes(t *testing.T) {
	from := cluster(t, "", string(text(t, 400, kubetest.YAML))).Snapshot
	into, changed, err := kube.Into(from, lab()...)
	if err != nil || len(changed) == 0 {
		t.Fatalf("%d addresses changed, %v", len(changed), err)
	}
	if into, err = into.Normal(); err != nil {
		t.Fatal(err)
	}
	to, back := map[netip.Addr]netip.Addr{}, map[netip.Addr]netip.Addr{}
	for _, m := range changed {
		if to[m.From].IsValid() || back[m.To].IsValid() {
			t.Fatalf("%s is not one to one", m)
		}
		to[m.From], back[m.To] = m.To, m.From
	}
	if again, more, err := kube.Into(into, lab()...); err != nil || len(more) != 0 || len(modes.Diff(into, again)) != 0 {
		t.Errorf("addresses that fit were changed: %v, %v", more, err)
	}
	four, err := kube.Times(into, 4, lab()...)
	if err != nil {
		t.Fatal(err)
	}
	if four, err = four.Normal(); err != nil {
		t.Fatal(err)
	}
	one, all := shape(into), shape(four)
	for what, n := range one {
		if all[what] != 4*n {
			t.Errorf("four times %d of %s are %d", n, what, all[what])
		}
	}
	for _, svc := range four.Services {
		if net := lab()[0]; svc.Family() == modes.IPv4 && (!net.VIPs.Contains(svc.ClusterIP) || slices.ContainsFunc(svc.Endpoints, func(ep modes.Endpoint) bool { return !net.Endpoints.Contains(ep.Addr) })) {
			t.Fatalf("service %s lies outside of the network", svc.Key())
		}
	}
	if _, err := kube.Times(into, 900, lab()...); err == nil || !strings.Contains(err.Error(), "all node ports of 1024-65535 are taken") {
		t.Errorf("900 times: %v", err)
	}
}

// shape counts what a Snapshot has.
func shape(s modes.Snapshot) map[string]int {
	out, names, eps, vips := map[string]int{}, map[string]bool{}, map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, svc := range s.Services {
		out["services"]++
		names[svc.Key()] = true
		out["endpoints"] += len(svc.Endpoints)
		out["ports"] += len(svc.Ports)
		if svc.Affinity > 0 {
			out["affinity"]++
		}
		for _, p := range svc.Ports {
			if p.NodePort != 0 {
				out["node ports"]++
			}
		}
		for _, a := range slices.Concat([]netip.Addr{svc.ClusterIP}, svc.ExternalIPs, svc.LoadBalancerIPs) {
			vips[a] = true
		}
		for _, ep := range svc.Endpoints {
			eps[ep.Addr] = true
		}
	}
	out["names"], out["pods"], out["VIPs"] = len(names), len(eps), len(vips)
	return out
}

const service = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  ports: [{port: 80, targetPort: http}]
`

// TestMeaning: what fields come to.
func TestMeaning(t *testing.T) {
	slice := func(name, ports, endpoints string) string {
		return "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + name +
			", namespace: shop, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nports: " + ports + "\nendpoints: " + endpoints + "\n"
	}
	at := func(s string, change func(*modes.Endpoint)) modes.Endpoint {
		ep := modes.Endpoint{Addr: netip.MustParseAddr(s)}
		if change != nil {
			change(&ep)
		}
		return ep
	}
	port := func(n uint16) func(*modes.Endpoint) { return func(ep *modes.Endpoint) { ep.Port = n } }
	for name, c := range map[string]struct {
		text   string
		target uint16
		want   []modes.Endpoint
		left   string
	}{
		"one number": {slice("a", "[{port: 8080}]", "[{addresses: [10.1.0.1]}]"), 8080, []modes.Endpoint{at("10.1.0.1", nil)}, ""},
		"two numbers": {slice("a", "[{port: 8080}]", "[{addresses: [10.1.0.1]}]") + slice("b", "[{port: 8081}]", "[{addresses: [10.1.0.2]}]"),
			0, []modes.Endpoint{at("10.1.0.1", port(8080)), at("10.1.0.2", port(8081))}, ""},
		"one pod in two slices": {slice("a", "[{port: 8080}]", "[{addresses: [10.1.0.1]}]") + slice("b", "[{port: 8080}]", "[{addresses: [10.1.0.1]}]"),
			8080, []modes.Endpoint{at("10.1.0.1", nil)}, ""},
		"conditions": {slice("a", "[{port: 8080}]", "[{addresses: [10.1.0.1], conditions: {ready: false, serving: true, terminating: true}},"+
			"{addresses: [10.1.0.2], conditions: {ready: false}}, {addresses: [10.1.0.3], conditions: {ready: true, terminating: true}}]"),
			8080, []modes.Endpoint{at("10.1.0.1", func(ep *modes.Endpoint) { ep.Condition = modes.Terminating }),
				at("10.1.0.2", func(ep *modes.Endpoint) { ep.Condition = modes.Unready }), at("10.1.0.3", nil)}, ""},
		"this node and its zone": {slice("a", "[{port: 8080}]", "[{addresses: [10.1.0.1], nodeName: n1, zone: z, hints: {forZones: [{name: z}]}},"+
			"{addresses: [10.1.0.2], nodeName: n2, hints: {forZones: [{name: zz}], forNodes: [{name: n2}]}}]"),
			8080, []modes.Endpoint{at("10.1.0.1", func(ep *modes.Endpoint) { ep.Local, ep.ZoneHint = true, modes.Here }),
				at("10.1.0.2", func(ep *modes.Endpoint) { ep.NodeHint, ep.ZoneHint = modes.Elsewhere, modes.Elsewhere })}, ""},
		"a port of another name": {slice("a", "[{name: other, port: 8080}]", "[{addresses: [10.1.0.1]}]"), 0, nil, ""},
		"another protocol":       {slice("a", "[{port: 8080, protocol: UDP}]", "[{addresses: [10.1.0.1]}]"), 0, nil, ""},
		"no slice":               {"", 0, nil, "Service shop/web: no EndpointSlice is its own"},
		"Endpoints": {"---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: web, namespace: shop}\nsubsets: [{addresses: [{ip: 10.1.0.1}], notReadyAddresses: [{ip: 10.1.0.2}], ports: [{port: 8080}]}]\n",
			8080, []modes.Endpoint{at("10.1.0.1", nil), at("10.1.0.2", func(ep *modes.Endpoint) { ep.Condition = modes.Unready })}, ""},
		"slices before Endpoints": {slice("a", "[{port: 8080}]", "[{addresses: [10.1.0.1]}]") + "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: web, namespace: shop}\nsubsets: [{addresses: [{ip: 10.1.0.9}], ports: [{port: 1}]}]\n",
			8080, []modes.Endpoint{at("10.1.0.1", nil)}, ""},
		"names instead of addresses": {strings.Replace(slice("a", "[{port: 8080}]", "[{addresses: [a.example.org]}]"), "IPv4", "FQDN", 1), 0, nil, "its addresses are of type \"FQDN\""},
		"a slice of nobody":          {strings.Replace(slice("a", "[]", "[]"), "service-name: web", "service-name: gone", 1), 0, nil, "EndpointSlice shop/a: there is no Service shop/gone"},
		"a foreign kind":             {"---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n", 0, nil, "Deployment default/d: kind Deployment of apps/v1 says nothing of Services"},
	} {
		node := ""
		if strings.Contains(c.text, "n1") {
			node = "n1"
		}
		got := cluster(t, node, service+c.text)
		svc := got.Snapshot.Services[0]
		if !slices.Equal(svc.Endpoints, c.want) || svc.Ports[0].TargetPort != c.target {
			t.Errorf("%s: got %+v behind port %d, want %+v behind %d", name, svc.Endpoints, svc.Ports[0].TargetPort, c.want, c.target)
		}
		if c.left != "" && !slices.ContainsFunc(got.LeftOut, func(l kube.LeftOut) bool { return strings.Contains(l.String(), c.left) }) {
			t.Errorf("%s: left out are %v, want %q", name, got.LeftOut, c.left)
		}
	}
}

// TestBadInput: one sentence with file, line and object.
func TestBadInput(t *testing.T) {
	second := func(s string) string { return service + "---\n" + s }
	list := "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: web}\n  spec: {clusterIP: 10.96.0.1}\n"
	for want, in := range map[string]string{
		"t.yaml, line 8: Service shop/web: it was given before, at t.yaml, line 1":        second(service),
		"t.yaml, line 1: Service shop/web: cluster IP \"10.96.0.300\" is no address":      strings.Replace(service, "10.96.0.1", "10.96.0.300", 1),
		"t.yaml, line 8: Service shop/b: external IP \"x\" is no address":                 second(strings.Replace(service, "web", "b", 1) + "  externalIPs: [x]\n"),
		"t.yaml, line 1: Service shop/web: source range \"10.0.0.0\" is no range":         service + "  loadBalancerSourceRanges: [10.0.0.0]\n",
		"t.yaml, line 1: Service shop/web: port \"\": 70000 is no port":                   strings.Replace(service, "port: 80", "port: 70000", 1),
		"t.yaml, line 1: Service shop/web: field \"spec.ports.port\" cannot be a string":  strings.Replace(service, "port: 80", "port: eighty", 1),
		"t.yaml, line 1: services shop/b and shop/web both claim 10.96.0.1:80/tcp":        second(strings.Replace(service, "web", "b", 1)),
		"t.yaml, line 1: no Kubernetes object: it has no apiVersion and kind":             "a: 1\n",
		"t.yaml, line 1: no Kubernetes object: unknown anchor 'nat' referenced":           "# Generated by iptables-save v1.8.9\n*nat\n",
		"t.yaml: no Kubernetes object: it is empty":                                       "# nothing\n---\n",
		"t.yaml, line 10: no Kubernetes object: could not find expected ':'":              second("kind: Service\nmetadata\n  name: x\n"),
		"t.yaml, line 7: the List ends without its kind: the file is cut short":           list,
		"t.yaml, line 7: no Kubernetes object: mapping values are not allowed":            list + "- a: b: c\nkind: List\n",
		"t.yaml, line 1: no Kubernetes object: it is a list: make it the items of a List": `[{"kind": "Service", "apiVersion": "v1"}]`,
		"t.yaml, line 1: no Kubernetes object: it is a list: make it":                     "# all\n- kind: Service\n  apiVersion: v1\n",
		"t.yaml, line 2: no Kubernetes object: it is a list":                              "{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}\n[]",
		"t.yaml, line 1: no Kubernetes object: it is a string":                            "hello\n",
		"t.yaml, line 3: the items of a List are no list":                                 "kind: List\nitems:\n  a: 1\n",
		"t.yaml, line 2: the items of a List are no list":                                 "kind: List\nitems: 7\n",
		"t.yaml, line 4: did not find expected ',' or ']'":                                "apiVersion: v1\nkind: List\nitems: [\n{a: 1}\n{b: 1}\n]\n",
		"t.yaml, line 3: Service shop/web: field \"spec.ports.port\" cannot be a string":  "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {ports: [{port: x}]}}]\n",
		"t.yaml, line 2: the file is cut short":                                           "{\"kind\": \"List\", \"items\": [\n{\"kind\": \"Service\"",
		"t.yaml, line 2: invalid character 'x'":                                           "{\"kind\": \"Service\",\n x}",
		"t.yaml, line 1: no Kubernetes object: anchor 'a' value contains itself":          "a: &a [*a]\n",
		"t.yaml, line 1: an object of more than 16 MB":                                    strings.Repeat("a: bcdefghijklmnopqrst\n", 800000),
		"line 1: no Kubernetes object has a line of more than 16 MB":                      strings.Repeat("x", 17<<20),
		"t.yaml, line 1: Service default/: it has no name":                                "apiVersion: v1\nkind: Service\n",
		"EndpointSlice shop/s: endpoint \"fd00::1\" is no address of type IPv4":           second("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, namespace: shop, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nendpoints: [{addresses: ['fd00::1']}]\n"),
		"service shop/web: endpoint 127.0.0.1 is a loopback address":                      second("apiVersion: v1\nkind: Endpoints\nmetadata: {name: web, namespace: shop}\nsubsets: [{addresses: [{ip: 127.0.0.1}], ports: [{port: 8080}]}]\n"),
	} {
		var o kube.Objects
		err := o.Decode("t.yaml", strings.NewReader(in))
		if err == nil {
			_, err = o.Cluster("")
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestListStyles: the items of a List may be written in any style of YAML.
func TestListStyles(t *testing.T) {
	one := func(name, addr string) string {
		return "{apiVersion: v1, kind: Service, metadata: {name: " + name + "},\n  spec:\n   {selector:\n      {a: b}, clusterIP: " + addr + ", ports: [{port: 80}]}}"
	}
	a, b := one("a", "10.96.0.1"), one("b", "10.96.0.2")
	for _, items := range []string{
		"items:\n- " + a + "\n- " + b, "items: # all of them\n- " + a + "\n- " + b, "items: [" + a + ", " + b + "]",
		"items:\n  [" + a + ",\n  " + b + "\n  ]", "items: # in flow style\n\n  # two\n  [" + a + ",\n" + b + "]", "items: [\n" + a + ",\n" + b + "\n]",
	} {
		for _, in := range []string{"apiVersion: v1\nkind: List\n" + items + "\n", items + "\nkind: List\napiVersion: v1\n---\n" + service} {
			var o kube.Objects
			if err := o.Decode("t.yaml", strings.NewReader(in)); err != nil || o.Services() != 2+strings.Count(in, service) {
				t.Errorf("%d Services, %v of\n%s", o.Services(), err, in)
			}
		}
	}
	var o kube.Objects
	typed := "apiVersion: v1\nkind: ServiceList\nitems: [{metadata: {name: a}, spec: {clusterIP: 10.96.0.1}}]\n---\nkind: List\nitems: []\n"
	if err := o.Decode("t.yaml", strings.NewReader(typed)); err != nil || o.Services() != 1 {
		t.Errorf("%d Services, %v", o.Services(), err)
	}
}

// TestLoad: files, folders, standard input.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.yaml": service, "b.json": `{"apiVersion":"v1","kind":"Service","metadata":{"name":"b"},"spec":{"clusterIP":"10.96.0.2"}}`, "c.txt": "no"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int{dir: 2, filepath.Join(dir, "a.yaml"): 1, kube.Stdin: 1} {
		o, err := kube.Load(path, strings.NewReader(service))
		if err != nil || o.Services() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := kube.Load(filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := kube.Load(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "has no file of .yaml") {
		t.Error(err)
	}
	o, _ := kube.Load(kube.Stdin, bytes.NewReader(text(t, 5, kubetest.YAML)))
	if _, err := o.Cluster("elsewhere"); err == nil || !strings.Contains(err.Error(), "node \"elsewhere\" runs no endpoint") {
		t.Error(err)
	}
}

// FuzzDecode: whatever comes in, a Snapshot that comes out is in normal form.
func FuzzDecode(f *testing.F) {
	for _, format := range kubetest.Formats() {
		f.Add(string(text(f, 3, format)))
	}
	f.Add(service)
	f.Add("{\"items\":[{}],\"kind\":\"ServiceList\"}")
	f.Fuzz(func(t *testing.T, in string) {
		var o kube.Objects
		if o.Decode("fuzz", strings.NewReader(in)) != nil {
			return
		}
		c, err := o.Cluster("")
		if err != nil {
			return
		}
		again, err := c.Snapshot.Normal()
		if err != nil || len(modes.Diff(c.Snapshot, again)) != 0 {
			t.Errorf("a snapshot that is not in normal form was read: %v", err)
		}
		if into, _, err := kube.Into(c.Snapshot, lab()...); err == nil {
			if _, err := into.Normal(); err != nil {
				t.Error(err)
			}
		}
	})
}

// BenchmarkDecode is 50000 Services as kubectl prints them.
func BenchmarkDecode(b *testing.B) {
	for _, f := range []kubetest.Format{kubetest.YAML, kubetest.JSON} {
		in := text(b, 50000, f)
		b.Run(string(f), func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				var o kube.Objects
				if err := o.Decode("b", bytes.NewReader(in)); err != nil {
					b.Fatal(err)
				}
				if _, err := o.Cluster(""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
