package testbed

// caveats are what a reader of figures from each testbed must know.
func caveats() map[string]string {
	return map[string]string{
		UMLName: "Testbed uml is a user-mode-linux guest with one CPU. Packet paths in its kernel run at " +
			"near-native speed, but system calls, page faults and process starts are several times slower: the times of tools " +
			"(iptables) and of the userspace proxy are inflated against native ones. BPF programs are interpreted there. Compare modes within this report, not " +
			"with numbers from other testbeds.",
		QEMUName: "Testbed qemu is a virtual machine with an emulated processor: everything is some twenty times slower than natively, and not " +
			"evenly so. Compare modes within this report, and only how things grow.",
		ExactName: "Testbed qemu-exact counts instructions, one nanosecond each, in a virtual machine whose time is virtual. " +
			"Figures are the same in every run and on every machine; they know no caches, no memory and no host, so that they say how much work " +
			"a mode makes, not how long it takes. Rates of bulk data mean nothing in it.",
		NativeName: "Testbed native shares the machine with whatever else runs there; kernel memory is " +
			"the whole machine's, so it is disturbed by others.",
	}
}

// Caveat is what a reader of figures from the testbed of that name must know, empty if
// that is nothing.
func Caveat(name string) string { return caveats()[name] }
