"""The common model of SMIL and CSS animations: the value of an attribute at a time."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from flowmodel.images.svg.colors import Unsupported, parse_values, srgb
from flowmodel.images.svg.parse import Element

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Curve:
    """Values of an attribute over an iteration, at as many ascending `offsets` in [0, 1]."""

    values: Sequence[str]
    offsets: Sequence[float]
    discrete: bool = False

    def at(self, progress: float) -> str:
        """The value at `progress` in [0, 1]."""
        last = len(self.values) - 1
        index = max((i for i, offset in enumerate(self.offsets) if offset <= progress + 1e-9), default=0)
        if self.discrete or index == last:
            return self.values[index]
        span = self.offsets[index + 1] - self.offsets[index]
        share = (progress - self.offsets[index]) / span if span > 0 else 1.0
        return interpolate(self.values[index], self.values[index + 1], min(1.0, max(0.0, share)))


@dataclass(eq=False)
class Effect:
    """An animation of the attribute `name` of `element`.

    Attributes:
        begins: ascending start times in seconds; empty if only user interaction starts it.
        duration: of one iteration; iterations: their number, infinity for an endless animation.
        freezes: whether the last value stays after the end.
        reverses: whether every second iteration runs backwards; backwards: whether all do.
        adds: whether the value is appended to the base value, as transforms can be.
        before: whether its first value applies before it begins.
    """

    element: Element
    name: str
    curve: Curve
    begins: list[float]
    duration: float
    iterations: float = 1.0
    freezes: bool = False
    alternates: bool = False
    backwards: bool = False
    adds: bool = False
    before: bool = False
    motion: bool = False

    @property
    def endless(self) -> bool:
        return math.isinf(self.iterations) or math.isinf(self.duration)

    @property
    def active(self) -> float:
        """Seconds from a start to its end."""
        return self.duration * self.iterations if self.duration else 0.0

    def begun(self, time: float) -> float | None:
        """The latest start at `time`."""
        return max((begin for begin in self.begins if begin <= time + 1e-9), default=None)

    def value(self, time: float) -> str | None:
        """The value at `time`; None if the animation has no effect then."""
        begin = self.begun(time)
        if begin is None:
            return self.curve.at(1.0 if self.backwards else 0.0) if self.before and self.begins else None
        elapsed = max(0.0, time - begin)
        if elapsed >= self.active - 1e-9:
            if not self.freezes:
                return None
            elapsed = self.active
            iteration = max(0.0, math.ceil(self.iterations) - 1) if self.iterations else 0.0
            progress = self.iterations - iteration
        else:
            if math.isinf(self.duration):
                return self.curve.at(0.0)
            iteration, progress = divmod(elapsed / self.duration, 1.0)
        turned = self.backwards != (self.alternates and int(iteration) % 2 == 1)
        return self.curve.at(1.0 - progress if turned else progress)


def interpolate(first: str, second: str, share: float) -> str:
    """Interpolate two values of the same form: numbers individually, colors in sRGB; otherwise, the nearer value."""
    if share <= 0 or first == second:
        return first
    if share >= 1:
        return second
    a, b = _numbers_of_color(first) or first, _numbers_of_color(second) or second
    if _form(a) != _form(b):
        return first if share < 0.5 else second
    ends = iter(_NUMBER.findall(b))
    return _NUMBER.sub(lambda found: f" {float(found[0]) + (float(next(ends)) - float(found[0])) * share:.6g}", a).strip()


def _form(text: str) -> str:
    return re.sub(r"[\s,]+", "", _NUMBER.sub("0", text))


def _numbers_of_color(text: str) -> str | None:
    if text[:1].isdigit() or text[:1] in "-.+" or len(text) > 60:
        return None
    try:
        color = srgb(parse_values(text))
    except Unsupported:
        return None
    if color is None:
        return None
    values = [int(color[i : i + 2], 16) for i in range(1, len(color), 2)]
    return f"rgba({values[0]}, {values[1]}, {values[2]}, {(values[3] if len(values) > 3 else 255) / 255:.4g})"
