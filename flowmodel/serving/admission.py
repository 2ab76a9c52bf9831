"""How much is accepted at once. What is beyond that is refused at once, with the time after which to try again."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_RETRY = 60  # seconds


class Busy(Exception):
    """Too much waits already.

    Attributes:
        retry_after: whole seconds after which there should be room.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many pictures are waiting; try again in {retry_after} s")
        self.retry_after = retry_after


class Admission:
    """Counts pictures from their acceptance to their answer. Used by one thread, that of the event loop.

    Attributes:
        pending: pictures that are accepted and not answered yet.
    """

    def __init__(self, queue: int, seconds: float) -> None:
        """At most `queue` pictures are pending, and none is accepted whose answer would take longer than `seconds`."""
        self._queue, self._seconds = queue, seconds
        self.pending = 0
        self._seconds_each = 0.0  # by how much one more picture in the queue delays an answer; 0 is not known yet

    @contextmanager
    def admitted(self, pictures: int) -> Iterator[None]:
        """Raises Busy instead of entering where there is no room for that many."""
        if self.pending + pictures > self._queue or (self.pending and self._expected(pictures) > self._seconds):
            # By then half of what waits is answered: later would leave the server idle, and sooner be refused again.
            raise Busy(min(_LONGEST_RETRY, max(1, math.ceil(self.pending * self._seconds_each / 2))))
        self.pending += pictures
        ahead, began = self.pending, time.monotonic()
        try:
            yield
        except BaseException:  # says nothing about how long an answer takes
            self.pending -= pictures
            raise
        self.pending -= pictures
        found = (time.monotonic() - began) / ahead
        self._seconds_each = found if not self._seconds_each else 0.9 * self._seconds_each + 0.1 * found

    def _expected(self, pictures: int) -> float:
        return (self.pending + pictures) * self._seconds_each
