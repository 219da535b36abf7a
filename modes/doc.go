// Package modes is the vocabulary of the lab: what a Service is, what a
// Snapshot of all Services is, and what every mode (a Service data plane) must
// be able to do with one.
//
// The way through it:
//
//  1. A Snapshot holds the whole desired state ([Service], [Endpoint]).
//
//  2. A [Proxier] takes a Snapshot, works out what differs from the last one
//     ([Diff]), programs the kernel, and says what that took ([Cost]).
//
//  3. What a kernel or machine lacks comes back as a [MissingError], which
//     names the need and the command that mends it.
//
//  4. A [Mode] is all of that as one value: its name, its parameters ([Param]), what it
//     cannot do, how to make its Proxier, what it would program ([Program]), and what its
//     costs are made of ([Model]).
//
// The folders below: modes/catalog is the one list of modes, modes/modetest what every
// mode must pass, modes/packet what packets meet (rules, conntrack entries, sockets) and
// the stories of their ways, modes/snapshot where Snapshots come from. Every other folder
// is a mode. A mode never knows how it is measured, nor where it runs.
package modes
