package shell

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"viplab/lab/topo"
	"viplab/modes"
)

// commandDir is where the commands lie, below the testbed's own /run.
const commandDir = "/run/viplab"

// namespaceDir is where `ip netns` looks for namespaces by name.
const namespaceDir = "/run/netns"

// Commands lists what a command finds beside the testbed's tools, name and meaning: CMD
// stands for a command with its arguments, and is a shell if there is none.
func Commands() [][2]string {
	return [][2]string{
		{"services", "lists the Services: name, VIP, endpoints"},
		{"client CMD", "runs CMD in the client's namespace"},
		{"node CMD", "runs CMD in the node's namespace"},
		{"backend CMD", "runs CMD in the namespace of all endpoints"},
	}
}

const enterScript = `#!/bin/sh
[ $# -gt 0 ] || { export PS1='viplab %[1]s# '; set -- %[3]s; }
exec nsenter --net=%[2]s/%[1]s -- "$@"
`

// writeCommands names the namespaces, writes the commands, and puts them into the PATH.
func writeCommands(net *topo.Topology, job Job) error {
	for _, dir := range []string{commandDir, namespaceDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("write the shell's commands: %w", err)
		}
	}
	shell := strings.Join(Interactive(), " ")
	files := map[string]string{
		"services.txt": serviceList(job.Snapshot), "services": "#!/bin/sh\nexec cat " + commandDir + "/services.txt\n",
	}
	for _, ns := range []*topo.Namespace{net.Client, net.Node, net.Backend} {
		if err := nameNamespace(ns); err != nil {
			return err
		}
		files[ns.Name] = fmt.Sprintf(enterScript, ns.Name, namespaceDir, shell)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(commandDir, name), []byte(text), 0o755); err != nil {
			return fmt.Errorf("write the shell's commands: %w", err)
		}
	}
	if err := os.Setenv("PS1", "viplab node# "); err != nil {
		return err
	}
	return os.Setenv("PATH", commandDir+":"+os.Getenv("PATH"))
}

// nameNamespace makes a namespace known to `ip netns`.
func nameNamespace(ns *topo.Namespace) error {
	path := filepath.Join(namespaceDir, ns.Name)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return fmt.Errorf("name namespace %s: %w", ns.Name, err)
	}
	err := ns.Do(func() error { return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "") })
	if err != nil {
		return fmt.Errorf("name namespace %s: %w", ns.Name, err)
	}
	return nil
}

// serviceList is a line for each port of each Service.
func serviceList(s modes.Snapshot) string {
	var b strings.Builder
	for _, svc := range s.Services {
		for _, p := range svc.Ports {
			var at []string
			for _, ep := range svc.Endpoints {
				if ep.Only == "" || ep.Only == p.Name {
					at = append(at, ep.At(p).String())
				}
			}
			fmt.Fprintf(&b, "%s\t%s %s\t%s\n", svc.Key(), p.Protocol, netip.AddrPortFrom(svc.ClusterIP, p.Port), strings.Join(at, " "))
		}
	}
	return b.String()
}

// urlOf is how curl is told of a Service.
func urlOf(svc *modes.Service) string {
	at := netip.AddrPortFrom(svc.ClusterIP, svc.Ports[0].Port)
	if at.Port() == 80 && at.Addr().Is4() {
		return at.Addr().String()
	}
	return at.String()
}
