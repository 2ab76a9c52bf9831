"""Was it memory that ran out?"""

import torch

_WORDS = ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory")


def is_out_of_memory(error: RuntimeError) -> bool:
    """CUDA has an exception of its own; the CPU and MPS only say it in words."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _WORDS)
