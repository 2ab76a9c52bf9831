"""A comparison of network architectures, from the project's first network to the current one."""
