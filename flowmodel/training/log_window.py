"""The numbers of a log line.

Shape suffixes: B batch, T bins of time.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from flowmodel.recipes.schema import TrainingConfig
from flowmodel.training.processes import Processes
from flowmodel.training.schedule import learning_rate
from flowmodel.training.state import StepNumbers

_BINS = 8


class LogWindow:
    """Means over the steps since the last log line, and the speed, excluding the time for grids and checkpoints."""

    def __init__(self, config: TrainingConfig, processes: Processes) -> None:
        self._config, self._processes = config, processes
        self._reset()

    def _reset(self) -> None:
        self._steps: list[StepNumbers] = []
        self._started = time.monotonic()

    def add(self, numbers: StepNumbers) -> None:
        self._steps.append(numbers)

    def first_non_finite(self, steps_done: int) -> int | None:
        """The first step since the last log line with a non-finite loss or gradient. Synchronizes with the device."""
        if not self._steps:
            return None
        values = self._mean(torch.stack([numbers.loss_B.mean() + numbers.gradient_norm for numbers in self._steps]))
        bad = (~values.isfinite()).nonzero().flatten().tolist()
        return steps_done - len(self._steps) + 1 + bad[0] if bad else None

    def close(self, steps_done: int) -> dict[str, float]:
        """Return the window's numbers and start the next window. This synchronizes with the device.

        Besides the means there are `loss_t0.125` and so on: means over samples with t in the bin that starts there, if it has
        any.
        """
        count = len(self._steps)
        losses = torch.stack([numbers.loss_B for numbers in self._steps])
        bins = (torch.stack([numbers.t_B for numbers in self._steps]) * _BINS).long().clamp(max=_BINS - 1).flatten()
        zeros_T = losses.new_zeros(_BINS)
        sums_T = self._mean(zeros_T.index_add(0, bins, losses.flatten()))
        counts_T = self._mean(zeros_T.index_add(0, bins, torch.ones_like(losses.flatten())))
        loss = self._mean(losses.mean()).item()
        gradient_norm = torch.stack([numbers.gradient_norm for numbers in self._steps]).mean().item()
        seconds = max(time.monotonic() - self._started, 1e-9)
        means = enumerate(zip(sums_T.tolist(), counts_T.tolist(), strict=True))
        by_time = {f"loss_t{i / _BINS:.3f}": total / samples for i, (total, samples) in means if samples}
        self._reset()
        return {
            "loss": loss,
            "gradient_norm": gradient_norm,
            "learning_rate": learning_rate(steps_done - 1, self._config),
            "images_per_second": count * self._config.batch_size / seconds,
            "eta_seconds": (self._config.steps - steps_done) * seconds / count,
            **by_time,
        }

    def _mean(self, value: Tensor) -> Tensor:
        return self._processes.mean(value)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time spent inside from the speed."""
        began = time.monotonic()
        yield
        self._started += time.monotonic() - began
