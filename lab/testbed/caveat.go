package testbed

// caveats are what a reader of figures from each testbed must know.
func caveats() map[string]string {
	return map[string]string{
		UMLName: "Testbed uml is a user-mode-linux guest with one CPU. Packet paths in its kernel run at " +
			"near-native speed, but system calls, page faults and process starts are several times slower: the times of tools " +
			"(iptables) and of the userspace proxy are inflated against native ones. BPF programs are interpreted there. Compare modes within this report, not " +
			"with numbers from other testbeds.",
		NativeName: "Testbed native shares the machine with whatever else runs there; kernel memory is " +
			"the whole machine's, so it is disturbed by others.",
	}
}

// Caveat is what a reader of figures from the testbed of that name must know, empty if
// that is nothing.
func Caveat(name string) string { return caveats()[name] }
