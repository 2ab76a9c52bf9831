"""The numbers of a log line."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from flowmodel.recipes.schema import TrainingConfig
from flowmodel.training.schedule import learning_rate


class ProgressWindow:
    """Means over the steps since the last log line, and the speed without the time that grids and checkpoints took."""

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        self._reset()

    def _reset(self) -> None:
        self._losses: list[Tensor] = []
        self._gradient_norms: list[Tensor] = []
        self._started = time.monotonic()

    def add(self, loss: Tensor, gradient_norm: Tensor) -> None:
        self._losses.append(loss)
        self._gradient_norms.append(gradient_norm)

    def close(self, steps_done: int) -> dict[str, float]:
        """The window's numbers; the next window begins. This is where the device is waited for."""
        count = len(self._losses)
        loss = sum(tensor.item() for tensor in self._losses) / count
        gradient_norm = sum(tensor.item() for tensor in self._gradient_norms) / count
        seconds = max(time.monotonic() - self._started, 1e-9)
        self._reset()
        return {
            "loss": loss,
            "gradient_norm": gradient_norm,
            "learning_rate": learning_rate(steps_done - 1, self._config),
            "images_per_second": count * self._config.batch_size / seconds,
            "eta_seconds": (self._config.steps - steps_done) * seconds / count,
        }

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside doesn't count."""
        began = time.monotonic()
        yield
        self._started += time.monotonic() - began
