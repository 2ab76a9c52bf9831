"""Recognizes errors that mean that memory ran out."""

import torch

_WORDS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",  # the wording on Windows
    "MPS backend out of memory",
    "CUDA error: out of memory",  # CUDA's libraries do not use PyTorch's allocator
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. CUDA and C++'s `new` have their own exceptions; the CPU allocator and MPS only have messages."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)
