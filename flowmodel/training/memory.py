"""Whether an error means that memory ran out."""

import torch

_WORDS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",  # the same on Windows
    "MPS backend out of memory",
    "CUDA error: out of memory",  # CUDA's libraries allocate beside PyTorch's allocator
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA has an exception of its own, and so has C++'s new; the CPU's allocator and MPS only say it in words."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)
