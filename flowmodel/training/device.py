"""One decision, made once and logged: where tensors live and how they are computed there."""

import ctypes
import platform
from dataclasses import dataclass

import torch

from flowmodel.errors import FlowmodelError


@dataclass(frozen=True)
class DevicePolicy:
    """How to compute on a device.

    Attributes:
        device: "cpu", "cuda" or "mps".
        memory_format: channels_last for convolutions on CPU and CUDA; MPS is right and fast only with contiguous tensors.
        autocast: bfloat16 on CUDA; None computes in float32.
        fused_optimizer: whether AdamW has one fused kernel there.
    """

    device: str
    memory_format: torch.memory_format
    autocast: torch.dtype | None
    fused_optimizer: bool

    @classmethod
    def choose(cls, wanted: str = "auto") -> "DevicePolicy":
        """The policy for `wanted`: auto (the best there is: cuda, mps, cpu), cuda, mps or cpu.

        Raises FlowmodelError when this machine has no such device.
        """
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        device = next(name for name, there in available.items() if there) if wanted == "auto" else wanted
        if not available.get(device, False):
            there = ", ".join(name for name, is_there in available.items() if is_there)
            raise FlowmodelError(f"device '{wanted}': not available here; use one of {there}, or auto")
        if device == "cuda":
            return cls(device, torch.channels_last, torch.bfloat16, fused_optimizer=True)
        if device == "mps":
            return cls(device, torch.contiguous_format, None, fused_optimizer=False)
        _keep_heap()
        return cls(device, torch.channels_last, None, fused_optimizer=True)

    def autocast_context(self) -> torch.autocast:
        return torch.autocast(self.device, dtype=self.autocast, enabled=self.autocast is not None)


def _keep_heap() -> None:
    """Tell glibc to keep freed memory instead of giving it back to the kernel.

    PyTorch's CPU allocator asks malloc for every activation; blocks of megabytes come from mmap and go back with munmap, so
    each step pays page faults for the same memory again. Measured 1.2x to 1.7x on a training step (docs/experiments.md).
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)
