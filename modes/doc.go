// Package modes is the vocabulary of the lab: what a Service is, what a
// Snapshot of all Services is, and what every mode (a Service data plane) must
// be able to do with one.
//
// The way through it:
//
//  1. A Snapshot holds the whole desired state ([Service], [Endpoint]).
//  2. A [Proxier] takes a Snapshot, works out what differs from the last one
//     ([Diff]), programs the kernel, and says what that took ([Cost]).
//  3. What a kernel or machine lacks comes back as a [MissingError], which
//     names the need and the command that mends it.
//
// Each mode has a package of its own below this one; modes/catalog lists them
// in one table. A mode never knows how it is measured.
package modes
