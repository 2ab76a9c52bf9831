"""The device policy, chosen once and logged: the device, precision and memory format of tensors."""

import ctypes
import platform
from dataclasses import dataclass

import torch

from flowmodel.errors import FlowmodelError
from flowmodel.recipes.schema import Precision, Switch


@dataclass(frozen=True)
class DevicePolicy:
    """How to run a network on a device.

    Attributes:
        device: "cpu", "cuda" or "mps", with an index when several processes share a machine.
        memory_format: channels_last for convolutions on CPU and CUDA; MPS is correct and fast only with contiguous tensors.
        autocast: bfloat16 on CUDA; None computes in float32.
        fused_optimizer: whether AdamW has a fused kernel on the device.
        compile: whether the network is compiled: it pays off immediately on CUDA and after minutes on a CPU, and is not yet
            reliable on MPS.
    """

    device: str
    memory_format: torch.memory_format
    autocast: torch.dtype | None
    fused_optimizer: bool
    compile: bool

    def __str__(self) -> str:
        precision = "float32" if self.autocast is None else str(self.autocast).removeprefix("torch.")
        layout = "channels last" if self.memory_format == torch.channels_last else "contiguous"
        return f"{self.device} ({precision}, {layout}{', compiled' if self.compile else ''})"

    @classmethod
    def choose(cls, wanted: str = "auto", precision: Precision = "auto", compile: Switch = "auto") -> "DevicePolicy":
        """The policy for `wanted`: auto (the first available of cuda, mps and cpu), cuda, mps or cpu.

        Raises FlowmodelError when this machine lacks the device, or the device does not support the precision.
        """
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        device = next(name for name, there in available.items() if there) if wanted == "auto" else wanted
        if not available.get(device, False):
            there = ", ".join(name for name, is_there in available.items() if is_there)
            raise FlowmodelError(f"device '{wanted}': not available here; use one of {there}, or auto")
        if precision == "bfloat16" and device == "mps":
            raise FlowmodelError("training.precision 'bfloat16': not reliable on MPS; use float32")
        is_bfloat16 = precision == "bfloat16" or (precision == "auto" and device == "cuda")
        if device == "cpu":
            _keep_heap()
        return cls(
            device,
            memory_format=torch.contiguous_format if device == "mps" else torch.channels_last,
            autocast=torch.bfloat16 if is_bfloat16 else None,
            fused_optimizer=device != "mps",
            compile=compile == "on" or (compile == "auto" and device == "cuda"),
        )

    def autocast_context(self) -> torch.autocast:
        return torch.autocast(torch.device(self.device).type, dtype=self.autocast, enabled=self.autocast is not None)


def _keep_heap() -> None:
    """Make glibc keep freed memory instead of returning it to the kernel.

    PyTorch's CPU allocator calls malloc for every activation. Large blocks come from mmap and return with munmap, so that every
    step pays page faults for the same memory. Measured 1.2x to 1.7x on a training step (docs/log.md).
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)
