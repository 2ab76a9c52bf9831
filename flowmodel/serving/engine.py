"""Draws what waits: pictures that are asked for by different clients go through the network together.

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
class Picture:
    """One picture that is asked for: number `number` of the noise of `seed`. None is the model's own way of sampling."""

    prompt: str
    seed: int
    number: int = 0
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True)
class _Waiting:
    picture: Picture
    generator: OnnxGenerator
    drawn: "Future[Drawn]" = field(default_factory=Future)

    @property
    def kind(self) -> tuple[int, int | None, float | None]:
        """What only pictures of the same can be drawn together."""
        return id(self.generator), self.picture.steps, self.picture.guidance


class Engine:
    """Threads that draw with one model, which can be replaced meanwhile.

    Each draws a batch at a time with one core: on a CPU, two batches beside one another take less time than one batch on two
    cores after the other (docs/serving.md). The threads share the model's memory.
    """

    def __init__(
        self, generator: OnnxGenerator, workers: int, batch: int, observe: Callable[[int], None] = lambda pictures: None
    ) -> None:
        """`batch` is how many pictures are drawn together at most; `observe` is told of each batch how many there were."""
        self.generator = generator
        self.workers, self._batch, self._observe = workers, batch, observe
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._idle, self._closed = workers, False
        self._threads = [threading.Thread(target=self._work, name=f"draws-{number}", daemon=True) for number in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, picture: Picture, generator: OnnxGenerator | None = None) -> "Future[Drawn]":
        """Let `picture` be drawn by the model that is served now, or by `generator`, one that was a moment ago.

        The future fails with what drawing raises; a picture that still waits can be cancelled.
        """
        asked = _Waiting(picture, generator or self.generator)
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            self._waiting.append(asked)
            self._changed.notify()
        return asked.drawn

    def use(self, generator: OnnxGenerator) -> None:
        """Draw with `generator` from now on. What was accepted before is drawn by the model that accepted it."""
        self.generator = generator

    def close(self) -> None:
        """Draw what waits, then end."""
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
        """What is to be drawn together next; empty where there is nothing left to do, ever."""
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
        """Pictures of the kind that waits longest, and as many as leave others their share who have nothing to do."""
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
    generator, first = batch[0].generator, batch[0].picture
    of = generator.folder.description
    asked = [each.picture for each in batch]
    noise_BCHW = np.concatenate([seeded_noise(1, of.size, each.seed, each.number, of.channels) for each in asked])
    captions = generator.encode([each.prompt for each in asked])
    return generator.draw_from(noise_BCHW, captions, generator.sampling(first.steps, first.guidance))
