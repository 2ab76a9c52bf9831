"""Samples waiting images in batches across clients.

Shape suffixes: H/W height and width, B batch, C channels.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flowmodel.runtime.noise import seeded_noise
from flowmodel.runtime.onnx_generator import OnnxGenerator

Drawn = NDArray[np.uint8]  # (4, H, W), premultiplied


@dataclass(frozen=True)
class ImageRequest:
    """A requested image, with noise number `number` of `seed`. None stands for the model's own setting."""

    prompt: str
    seed: int
    number: int = 0
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True)
class _Waiting:
    request: ImageRequest
    generator: OnnxGenerator
    drawn: "Future[Drawn]" = field(default_factory=Future)

    @property
    def kind(self) -> tuple[int, int | None, float | None]:
        """The key of a batch: only images with the same key are sampled together."""
        return id(self.generator), self.request.steps, self.request.guidance


class Engine:
    """Threads that sample with one model, which can be replaced at any time.

    Each samples a batch at a time on one core, because on a CPU two batches in parallel take less time than two in sequence on
    two cores (docs/serving.md). The threads share the model's memory.
    """

    def __init__(
        self, generator: OnnxGenerator, workers: int, batch: int, observe: Callable[[int], None] = lambda images: None
    ) -> None:
        """`batch` is the maximum batch size; `observe` is called with the size of each batch."""
        self.generator = generator
        self.workers, self._batch, self._observe = workers, batch, observe
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._idle, self._closed = workers, False
        self._threads = [threading.Thread(target=self._work, name=f"draws-{number}", daemon=True) for number in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, request: ImageRequest, generator: OnnxGenerator | None = None) -> "Future[Drawn]":
        """Queue `request` for the current model, or for `generator`, a model that was current before.

        The future raises the errors of sampling; a waiting image can be canceled.
        """
        asked = _Waiting(request, generator or self.generator)
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            self._waiting.append(asked)
            self._changed.notify()
        return asked.drawn

    def use(self, generator: OnnxGenerator) -> None:
        """Use `generator` from now on. Images that were accepted before are sampled by the previous model."""
        self.generator = generator

    def close(self) -> None:
        """Finish the queue, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._next():
            try:
                for asked, drawn_4HW in zip(batch, _draw(batch), strict=True):
                    asked.drawn.set_result(drawn_4HW)
            except Exception as error:
                for asked in batch:
                    if not asked.drawn.done():
                        asked.drawn.set_exception(error)
            with self._changed:
                self._idle += 1
            self._observe(len(batch))

    def _next(self) -> list[_Waiting]:
        """The next batch; empty after the end."""
        with self._changed:
            while True:
                while self._waiting:
                    if batch := self._taken():
                        self._idle -= 1
                        return batch
                if self._closed:
                    return []
                self._changed.wait()

    def _taken(self) -> list[_Waiting]:
        """Images with the key that has waited longest, leaving a share for each idle thread."""
        share = min(self._batch, -(-len(self._waiting) // self._idle))
        kind = self._waiting[0].kind
        batch: list[_Waiting] = []
        others: deque[_Waiting] = deque()
        for asked in self._waiting:
            if asked.kind != kind or len(batch) == share:
                others.append(asked)
            elif asked.drawn.set_running_or_notify_cancel():
                batch.append(asked)
        self._waiting = others
        return batch


def _draw(batch: list[_Waiting]) -> NDArray[np.uint8]:
    generator, first = batch[0].generator, batch[0].request
    of = generator.folder.description
    asked = [each.request for each in batch]
    noise_BCHW = np.concatenate([seeded_noise(1, of.size, each.seed, each.number, of.channels) for each in asked])
    captions = generator.encode([each.prompt for each in asked])
    return generator.draw_from(noise_BCHW, captions, generator.sampling(first.steps, first.guidance))
