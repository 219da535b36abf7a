// Package simulate predicts, without a kernel and in seconds, what Services cost
// in each mode: a first packet, a sync, memory, at any number of Services.
//
// It counts, it does not time. [StateOf] counts what a mode puts into the kernel
// and [Walker] the operations on a packet's way, both from the rules that the mode
// itself plans and with the tracer of package modes/packet. What an operation
// costs comes from a [Calibration] that was fitted to a measured run by
// non-negative least squares, so a prediction is as good as that run, and [HeldOut]
// says how good that is: fitted on small sizes, held against large ones.
//
// Predictions are marked as such wherever they are shown.
package simulate
