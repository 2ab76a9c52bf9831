"""A small text-to-icon generator: icon sets, flow matching, evaluation and release."""

import os

# PyTorch's threads wait for one another by spinning, for milliseconds unless told otherwise, and so starve each other and
# everything else where other processes want the same cores. This is long enough for the next kernel of a quiet machine
# (docs/experiments.md, "threads that wait"). It has to be set before torch loads the OpenMP runtime.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
