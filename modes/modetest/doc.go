// Package modetest is what every mode must pass: its conformance suite, with real
// packets. [Run] plays it for one mode, of the lab's own or of anybody's; a package that
// calls it has
//
//	func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }
//
// so that the tests run in namespaces of this kernel and in a guest (lab/testbed/inside).
//
// The suite proves that the mode forwards rightly over both families and tells every
// story; that a change ends where a fresh start ends, and the same Snapshot twice does
// nothing; that it recovers after a Sync that failed; and that nothing is left after
// Close.
package modetest
