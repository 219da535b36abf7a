// Package kernel knows the kernels that a user-mode-linux guest can be started
// with: the one that the distribution packages, and those that it builds itself
// from kernel source with a configuration of its own, which have every data plane
// at once and need no modules.
//
// A built kernel is a folder in the user's cache (see [Dir]) that holds one
// executable, its configuration and a description. It appears there only when it
// is whole, and is used only if its digest is the one that the build noted.
package kernel
