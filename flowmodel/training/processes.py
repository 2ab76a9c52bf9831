"""The processes of a training started by `accelerate launch`; usually there is only one.

Every process draws noise, times and captions of the whole batch from the same seed and computes its share, so that the losses
equal those of one process with the same batch.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, get_int_from_env
from torch import Tensor, nn

from flowmodel.errors import FlowmodelError
from flowmodel.model.device import DevicePolicy

T = TypeVar("T")

# Environment variables in which launchers (accelerate, torchrun, MPI) set the rank.
_RANK = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def is_main_process() -> bool:
    """Whether this is the main process according to its launcher; known before the process group exists."""
    return get_int_from_env(_RANK, 0) == 0


def made_by_main(device: str, make: Callable[[], T]) -> tuple[T, bool]:
    """Call `make()` in the main process while the others wait, and return its result in all; also return whether this is the
    main one.

    `device` is the recipe's. The backend is gloo on the CPU and the one of the accelerator elsewhere.
    """
    state = PartialState(cpu=DevicePolicy.choose(device).device == "cpu")
    values = [make()] if state.is_main_process else [None]
    if state.num_processes > 1:
        broadcast_object_list(values)
    return values[0], state.is_main_process  # type: ignore[return-value]


class Processes:
    """Raises FlowmodelError when the batch can't be divided equally."""

    def __init__(self, policy: DevicePolicy, batch_size: int, grad_accum_steps: int) -> None:
        # The state is global to the interpreter and would refuse a second training on another device.
        AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
        # The device policy sets the precision, not the launcher's configuration.
        self._accelerator = Accelerator(cpu=policy.device == "cpu", mixed_precision="no")
        if batch_size % (self.count * grad_accum_steps):
            raise FlowmodelError(
                f"training.batch_size {batch_size}: can't be shared by {self.count} processes x training.grad_accum_steps "
                f"{grad_accum_steps}; choose a multiple of {self.count * grad_accum_steps}"
            )
        size = batch_size // (self.count * grad_accum_steps)
        first = self._accelerator.process_index * size * grad_accum_steps
        self.slices = [slice(first + i * size, first + (i + 1) * size) for i in range(grad_accum_steps)]

    @property
    def count(self) -> int:
        return self._accelerator.num_processes

    @property
    def index(self) -> int:
        return self._accelerator.process_index

    @property
    def device(self) -> torch.device:
        return self._accelerator.device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files."""
        return self._accelerator.is_main_process

    def share(self, network: nn.Module) -> nn.Module:
        """A wrapper that averages gradients over all processes; it shares the parameters of `network`."""
        prepared: nn.Module = self._accelerator.prepare_model(network, device_placement=False)
        return prepared

    def without_averaging(self, network: nn.Module) -> AbstractContextManager[None]:
        """A context in which gradients accumulate in this process without synchronization, for micro-batches."""
        context: AbstractContextManager[None] = self._accelerator.no_sync(network)
        return context

    def mean(self, value: Tensor) -> Tensor:
        """The mean of the values of all processes."""
        mean: Tensor = self._accelerator.reduce(value, reduction="mean")
        return mean

    def any(self, value: bool) -> bool:
        """Whether `value` is true in any process."""
        return value if self.count == 1 else bool(self.mean(torch.tensor(float(value), device=self.device)) > 0)

    def from_main(self, value: T) -> T:
        """The value of the main process."""
        if self.count == 1:
            return value
        values = [value]
        broadcast_object_list(values)
        return values[0]

    def wait(self) -> None:
        """Wait for all processes."""
        self._accelerator.wait_for_everyone()
