"""Chooses the moment of an animated image to show: its end or, for an endless animation, a moment in which it is visible."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flowmodel.images.svg.effects import Effect
from flowmodel.images.svg.parse import Element

# Number of moments to try, within the shortest and the longest cycle of an endless animation.
_LOOKS = 4
_LONGEST = 30.0
_VISIBLE = ("opacity", "fill-opacity", "stroke-opacity")


def moments(effects: Sequence[Effect]) -> list[float]:
    """Candidate times in seconds: one if all animations end, otherwise several of a cycle."""
    begun = [effect for effect in effects if effect.begins]
    fleeting = {effect.element for effect in begun if _is_fleeting(effect)}

    def has_no_end(effect: Effect) -> bool:
        # Animations that restart each other forever have no end either.
        return effect.endless or len(effect.begins) > 1 or effect.element in fleeting

    endless = [effect for effect in begun if has_no_end(effect)]
    ends = [effect.begins[-1] + effect.active for effect in begun if not has_no_end(effect)]
    settled = max([0.0, *ends, *(effect.begins[0] for effect in endless)])
    middles = [begin + effect.active / 2 for effect in begun if _is_fleeting(effect) for begin in effect.begins[:1]]
    periods = [effect.duration for effect in endless if math.isfinite(effect.duration) and not _is_fleeting(effect)]
    turns = {min(periods), min(_LONGEST, max(periods))} if periods else set()
    looks = [settled + period * look / _LOOKS for period in sorted(turns) for look in range(_LOOKS)]
    return list(dict.fromkeys([*looks, *middles[:_LOOKS]])) or [settled]


def _is_fleeting(effect: Effect) -> bool:
    """Whether the animation ends and its element is visible only while it lasts, like rain that falls once."""
    base = effect.element.get(effect.name)
    ends = not effect.endless and not effect.freezes
    return ends and effect.name in _VISIBLE and base is not None and base.strip() in ("0", "0%", "0.0", ".0")


def _begun(effect: Effect, time: float) -> float:
    begin = effect.begun(time)
    return -math.inf if begin is None else begin


@contextmanager
def at_moment(effects: Sequence[Effect], time: float) -> Iterator[None]:
    """A context in which elements have their values at `time`."""
    grouped: dict[tuple[Element, str], list[Effect]] = defaultdict(list)
    for effect in effects:
        grouped[effect.element, effect.name].append(effect)
    before = [(element, name, element.get(name)) for element, name in grouped]
    for (element, name), group in grouped.items():
        base = element.get(name)
        value, motion = base, ""
        # The animation that began last has the highest priority; sorting is stable and keeps the document order.
        for effect in sorted(group, key=lambda effect: _begun(effect, time)):
            new = effect.value(time)
            if new is None:
                continue
            if effect.motion:
                motion = new
            else:
                value = f"{value or ''} {new}".strip() if effect.adds and name == "transform" else new
        if motion:
            value = f"{motion} {value or ''}".strip()
        if value is not None:
            element.set(name, value)
    try:
        yield
    finally:
        for element, name, old in before:
            if old is None:
                element.attrib.pop(name, None)
            else:
                element.set(name, old)
