package kernel

import "viplab/lab/cache"

// Dir is the folder of built kernels in the user's cache ([cache.Dir]), made if it is not
// there. What lies there is executed.
func Dir() (string, error) { return cache.Dir("kernels") }
