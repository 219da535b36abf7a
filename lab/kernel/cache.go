package kernel

import "viplab/lab/cache"

// Dir is the folder of built kernels in the user's cache ([cache.Dir]), made if it is not
// there. What lies there is executed.
func Dir() (string, error) { return cache.Dir(kernels) }

// kernels and images are the folders of built kernels, and of those for virtual machines.
const kernels, images = "kernels", "images"
