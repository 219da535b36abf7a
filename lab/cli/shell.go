package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"viplab/lab/cluster"
	"viplab/lab/roles"
	"viplab/lab/session"
	"viplab/lab/shell"
	"viplab/lab/tell"
	"viplab/lab/testbed"
	"viplab/modes"
	"viplab/modes/packet/story"
	"viplab/modes/snapshot/synth"
)

// shellFlags are the flags of shell and exec.
type shellFlags struct {
	app
	clusterFlags
	mode, testbed, kernel, family, story string
	synth                                synth.Spec
	params                               map[string]*string
}

// set is what the flags came to.
type set struct {
	job       shell.Job
	testbed   testbed.Testbed
	needsRoot bool
}

func (a app) shellCommand() *cobra.Command {
	f := a.newShellFlags()
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "Open a shell in the node's namespace, with Services programmed in a mode",
		Long: `shell programs Services in a mode, in a guest or in namespaces of this kernel, and
opens a shell there, as root, in the node's namespace. When it ends, all of it is gone.
Every endpoint answers HTTP with its own address. Commands at hand:

` + shellCommands(),
		Example: `  viplab shell                             # 8 Services in mode iptables
  viplab shell --mode ipvs --services 1000 --scheduler sh
  viplab shell --mode nftables --from cluster.yaml
  viplab shell --mode ipvs --testbed uml --kernel debian`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := f.set(cmd)
			if err != nil {
				return err
			}
			s.job.Command, s.job.Hello = shell.Interactive(), true
			return s.run(cmd)
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func (a app) execCommand() *cobra.Command {
	f := a.newShellFlags()
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND...",
		Short: "Run a command in the node's namespace, with Services programmed in a mode",
		Long: `exec programs Services in a mode, in a guest or in namespaces of this kernel, and runs
a command there, as root, in the node's namespace. Input and output are the caller's, the
exit code is the command's. When it ends, all of it is gone. Every endpoint answers HTTP
with its own address. Further commands at hand:

` + shellCommands(),
		Example: `  viplab exec -- iptables-legacy-save
  viplab exec --mode ipvs --services 100 -- ipvsadm -Ln
  viplab exec --mode nftables --layout kube-proxy -- sh -c 'client curl -s 10.96.0.10; nft list ruleset'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("exec needs a command, as in: viplab exec --mode ipvs -- ipvsadm -Ln")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.set(cmd)
			if err != nil {
				return err
			}
			s.job.Command = args
			return s.run(cmd)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().SetInterspersed(false) // flags after the command's name are its own
	return cmd
}

// shellCommands is the help on them.
func shellCommands() string {
	var b strings.Builder
	for _, c := range shell.Commands() {
		fmt.Fprintf(&b, "  %-14s %s\n", c[0], c[1])
	}
	return b.String()
}

// shellServices is enough for a look and few enough to be read.
const shellServices = 8

func (a app) newShellFlags() *shellFlags {
	return &shellFlags{app: a, mode: "iptables", testbed: testbed.Auto, kernel: session.KernelAuto, family: string(modes.IPv4),
		synth: synth.Spec{Services: shellServices, Endpoints: 2, Ports: 1, Seed: 1}, params: map[string]*string{}}
}

func (f *shellFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&f.mode, "mode", f.mode, "mode to program in (see viplab modes)")
	fl.IntVar(&f.synth.Services, "services", f.synth.Services, "number of Services")
	fl.IntVar(&f.synth.Endpoints, "endpoints", f.synth.Endpoints, "endpoints of each Service")
	fl.IntVar(&f.synth.Ports, "ports", f.synth.Ports, "TCP ports of each Service")
	fl.Uint64Var(&f.synth.Seed, "seed", f.synth.Seed, "seed of addresses")
	fl.StringVar(&f.family, "family", f.family, "address family of Services: ipv4, ipv6, dual")
	f.clusterFlags.register(fl)
	fl.StringVar(&f.story, "story", "", "program the Services of this file of stories instead")
	fl.StringVar(&f.testbed, "testbed", f.testbed, "where: auto, "+strings.Join(testbed.Names(), ", "))
	fl.StringVar(&f.kernel, "kernel", f.kernel, "kernel of the guest, as viplab kernel list names it, or a path")
	for _, p := range f.modes.Params() {
		f.params[p.Name] = fl.String(p.Name, p.Default, paramHelp(p))
	}
}

// set finds the Services, the mode with its arguments, and a testbed that can run it.
func (f *shellFlags) set(cmd *cobra.Command) (set, error) {
	mode, err := f.modes.Find(f.mode)
	if err != nil {
		return set{}, usageError{err}
	}
	args := modes.Args{}
	for name, v := range f.params {
		if cmd.Flags().Changed(name) {
			args[name] = *v
		}
	}
	traits := mode.TraitsOf(args)
	snap, err := f.snapshot(cmd, mode, args)
	if err != nil {
		return set{}, usageError{err}
	}
	c := session.Default(f.modes)
	c.Services, c.Modes, c.Testbed, c.Kernels, c.Families = []int{1}, []string{f.mode}, f.testbed, []string{f.kernel}, []string{f.family}
	c.Params = map[string]session.Values{}
	for name, v := range args {
		c.Params[name] = session.Values{v}
	}
	if err := c.Validate(f.modes); err != nil {
		return set{}, usageError{err}
	}
	if testbed.Emulated(f.testbed) {
		return set{}, usagef("testbed %s takes no input while a command runs: use %s or %s", f.testbed, testbed.UMLName, testbed.NativeName)
	}
	tb, _, err := f.session(c, true).Place(cmd.Context())
	if err != nil {
		return set{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	return set{testbed: tb, needsRoot: traits.RealRoot,
		job: shell.Job{Mode: f.mode, Args: args, Family: modes.Family(f.family), Snapshot: snap, Dir: dir, Env: shell.Environment()}}, nil
}

// snapshot is the Services that were asked for: the lab's own, those of a file of stories,
// or those of a cluster that the mode can serve.
func (f *shellFlags) snapshot(cmd *cobra.Command, mode modes.Mode, args modes.Args) (snap modes.Snapshot, err error) {
	if f.story == "" && f.from == "" {
		f.synth.Family, f.synth.SamePort = modes.Family(f.family), mode.TraitsOf(args).DirectServerReturn
		if err := cmp.Or(f.synth.Validate(), mode.CheckFamily(f.synth.Family)); err != nil {
			return snap, err
		}
		return f.synth.Snapshot(), nil
	}
	for _, name := range []string{"services", "endpoints", "ports", "seed", "family"} {
		if cmd.Flags().Changed(name) {
			return snap, fmt.Errorf("--story and --from have Services of their own: --%s cannot be given with them", name)
		}
	}
	switch {
	case f.story != "" && f.from != "":
		return snap, errors.New("--story and --from exclude each other")
	case f.story != "":
		snap, err = storySnapshot(f.story)
	default:
		snap, err = f.clusterSnapshot(cmd, mode, args)
	}
	if err == nil && len(snap.Services) == 0 {
		err = fmt.Errorf("%s%s: there is no Service for mode %s", f.story, f.from, mode.Name)
	}
	if err != nil {
		return snap, err
	}
	f.family = string(familyOf(snap))
	return snap, nil
}

// storySnapshot is the Services of a file of stories.
func storySnapshot(path string) (modes.Snapshot, error) {
	file, err := os.Open(path)
	if err != nil {
		return modes.Snapshot{}, fmt.Errorf("read stories: %w", err)
	}
	defer file.Close()
	book, err := story.Read(path, file)
	if err == nil {
		err = tell.CheckFit(book)
	}
	return book.Snapshot, err
}

// clusterSnapshot is the Services of a user's cluster, moved into the lab's network.
func (f *shellFlags) clusterSnapshot(cmd *cobra.Command, mode modes.Mode, args modes.Args) (modes.Snapshot, error) {
	c, err := f.read(cmd.InOrStdin())
	if err != nil {
		return modes.Snapshot{}, err
	}
	c.Keep(cluster.Asked{Mode: mode, Args: args})
	if err := c.Move(); err != nil {
		return modes.Snapshot{}, err
	}
	return c.Snapshot, c.Write(cmd.ErrOrStderr())
}

// familyOf is the family of all Services of a Snapshot.
func familyOf(s modes.Snapshot) modes.Family {
	has := func(f modes.Family) bool {
		return slices.ContainsFunc(s.Services, func(svc *modes.Service) bool { return svc.Family() == f })
	}
	switch {
	case has(modes.IPv4) && has(modes.IPv6):
		return modes.Dual
	case has(modes.IPv6):
		return modes.IPv6
	}
	return modes.IPv4
}

// run runs the command, at the caller's terminal if there is one.
func (s set) run(cmd *cobra.Command) error {
	streams := shell.Streams{Input: testbed.Input{From: cmd.InOrStdin()}, Stdout: stdout(cmd), Stderr: cmd.ErrOrStderr()}
	code, err := atTerminal(cmd, &streams, func(ctx context.Context) (int, error) {
		return shell.In(ctx, s.testbed, roles.Shell, s.job, s.needsRoot, streams)
	})
	if err != nil {
		return err
	}
	if code != 0 {
		return commandError(code)
	}
	return nil
}
