package testbed

// caveats are what a reader of figures from each testbed must know.
func caveats() map[string]string {
	return map[string]string{
		// Both from runs of 1000 Services an hour apart, full syncs of the iptables modes from a
		// later pair of 1000 to 20 000: docs/testbeds.md.
		UMLName: "Testbed uml is a user-mode-linux guest with one CPU, in which what processes ask of the kernel is slow (a system call " +
			"8 to 15 µs) and what the kernel does itself is not. Of native times on the same machine, with two CPUs, a kernel that viplab " +
			"built (7.3) took: first packets 0.5 to 0.65 (nobody is woken on another CPU), established flows 1.0 to 1.4, full syncs of the iptables " +
			"modes 1.3 to 1.5, of userspace 1.6 to 2.7, of nftables and ebpf 0.7 to 1.3, changes in all modes 2 to 3; a third of the new connections a second, at " +
			"twice the CPU time; 0.7 of the bulk throughput, through the userspace proxy 0.55. The packaged kernel takes twice as long " +
			"for each system call. BPF programs are interpreted. Compare modes within this report, not with numbers from other testbeds.",
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
