"""Seeds that are derived from several numbers."""

import numpy as np


def mixed_seed(*parts: int) -> int:
    """One well-mixed 63-bit seed from several non-negative integers, such as (seed, step)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
