"""Limits the queue. Requests beyond the limit are refused immediately, with a time after which to retry."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_RETRY = 60  # seconds


class Busy(Exception):
    """The queue is full.

    Attributes:
        retry_after: whole seconds until there should be room.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many images are waiting; try again in {retry_after} s")
        self.retry_after = retry_after


class Admission:
    """Counts images from acceptance to response. Used by the thread of the event loop only.

    Attributes:
        pending: accepted images without a response so far.
    """

    def __init__(self, queue: int, seconds: float) -> None:
        """Accept at most `queue` pending images, and none whose response would take longer than `seconds`."""
        self._queue, self._seconds = queue, seconds
        self.pending = 0
        self._seconds_each = 0.0  # added delay per image in the queue; 0 if unknown

    @contextmanager
    def admitted(self, images: int) -> Iterator[None]:
        """Raises Busy if there is no room for that many."""
        if self.pending + images > self._queue or (self.pending and self._expected(images) > self._seconds):
            # By then half of the queue is done. A later retry could leave the server idle, and an earlier one would be refused
            # again.
            raise Busy(min(_LONGEST_RETRY, max(1, math.ceil(self.pending * self._seconds_each / 2))))
        self.pending += images
        ahead, began = self.pending, time.monotonic()
        try:
            yield
        except BaseException:  # a failure says nothing about the time per image
            self.pending -= images
            raise
        self.pending -= images
        found = (time.monotonic() - began) / ahead
        self._seconds_each = found if not self._seconds_each else 0.9 * self._seconds_each + 0.1 * found

    def _expected(self, images: int) -> float:
        return (self.pending + images) * self._seconds_each
