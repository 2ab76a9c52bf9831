"""Which moment of an animated picture is shown: its end, or of what never ends one in which it can be seen."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flowmodel.images.svg.effects import Effect
from flowmodel.images.svg.parse import Element

# How many moments of the shortest and of the longest cycle of an endless animation are tried.
_LOOKS = 4
_LONGEST = 30.0
_VISIBLE = ("opacity", "fill-opacity", "stroke-opacity")


def moments(effects: Sequence[Effect]) -> list[float]:
    """Times in seconds that may be shown: one where all animations end, several of a turn where some don't."""
    begun = [effect for effect in effects if effect.begins]
    fleeting = {effect.element for effect in begun if _is_fleeting(effect)}

    def has_no_end(effect: Effect) -> bool:
        # Whatever starts again and again, because animations start one another, has none either.
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
    """Whether it ends and its element is seen only while it lasts, as rain that falls once."""
    base = effect.element.get(effect.name)
    ends = not effect.endless and not effect.freezes
    return ends and effect.name in _VISIBLE and base is not None and base.strip() in ("0", "0%", "0.0", ".0")


def _begun(effect: Effect, time: float) -> float:
    begin = effect.begun(time)
    return -math.inf if begin is None else begin


@contextmanager
def at_moment(effects: Sequence[Effect], time: float) -> Iterator[None]:
    """Inside, the elements have the values that they have at `time`."""
    grouped: dict[tuple[Element, str], list[Effect]] = defaultdict(list)
    for effect in effects:
        grouped[effect.element, effect.name].append(effect)
    before = [(element, name, element.get(name)) for element, name in grouped]
    for (element, name), group in grouped.items():
        base = element.get(name)
        value, motion = base, ""
        # The one that began last has the last word; sorting keeps the document's order.
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
