// Package reproduce measures what others have published, and says with numbers
// whether the lab finds the same.
//
// A [Target] is a published table or plot. It names the [Experiment]s that measure
// the same quantities, each a configuration of the bench, and how each published
// series is set beside a measured one; or the reason why that cannot be done. The
// verdict is made from the data by package analysis/verdict.
package reproduce
