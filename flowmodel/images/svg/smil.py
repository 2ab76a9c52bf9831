"""SMIL animations as effects: https://svgwg.org/specs/animations/."""

import heapq
import math
import re
from collections import defaultdict
from collections.abc import Sequence

from flowmodel.images.svg.effects import Curve, Effect, interpolate
from flowmodel.images.svg.motion import motion_curve
from flowmodel.images.svg.parse import ANIMATIONS, Element, is_svg, local

_MAX_STARTS = 5000  # for all animations together
_HORIZON = 60.0  # seconds; animations that start others after this do so forever
_SYNCED = re.compile(r"(?P<id>.+?)\.(?P<event>begin|end)\s*(?P<offset>[+-].+)?$")
_NAME = re.compile(r"[A-Za-z_][\w.-]*$", re.ASCII)
_METRIC = {"h": 3600.0, "min": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d*\.?\d+)\s*(h|min|s|ms|)$")


def take_smil(root: Element) -> list[Effect]:
    """Effects of all SMIL animations in document order; their elements are removed from the tree."""
    elements = [element for element in root.iter() if is_svg(element) and local(element) in ANIMATIONS]
    if not elements:
        return []
    by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
    effects: list[Effect] = []
    animations: list[tuple[Element, Effect]] = []
    for element in elements:
        reference = (element.get("href") or "").removeprefix("#")
        target = by_id.get(reference) if reference else element.getparent()
        if target is not None and (effect := _effect(element, target, by_id)):
            animations.append((element, effect))
            effects.append(effect)
    _start(animations)
    for element in elements:
        if (parent := element.getparent()) is not None:
            parent.remove(element)
    return effects


def _effect(element: Element, target: Element, by_id: dict[str | None, Element]) -> Effect | None:
    tag = local(element)
    name = (
        "transform" if tag in ("animateTransform", "animateMotion") else (element.get("attributeName") or "").rpartition(":")[2]
    )
    if tag == "animateMotion":
        curve = motion_curve(element, by_id)
    elif tag == "set":
        curve = Curve([element.get("to") or ""], [0.0])
    else:
        curve = _curve(element, target, name)
    if curve is None:
        return None
    duration = _clock(element.get("dur") or "")
    duration = math.inf if duration is None or duration <= 0 else duration
    return Effect(
        target,
        name,
        curve,
        [],
        duration,
        _iterations(element, duration),
        freezes=element.get("fill") == "freeze",
        adds=element.get("additive") == "sum",
        motion=tag == "animateMotion",
    )


def _iterations(element: Element, duration: float) -> float:
    count, length = element.get("repeatCount"), element.get("repeatDur")
    limits = []
    if count:
        limits.append(math.inf if count == "indefinite" else _float(count) or 1.0)
    if length:
        seconds = _clock(length)
        limits.append(math.inf if seconds is None else seconds / duration if math.isfinite(duration) else 1.0)
    if (end := _clock(element.get("end") or "")) is not None and math.isfinite(duration):
        limits.append(max(0.0, end - (_clock((element.get("begin") or "0").split(";")[0]) or 0.0)) / duration)
    return min(limits, default=1.0)


def _curve(element: Element, target: Element, name: str) -> Curve | None:
    # The base value is used if only `to` or `by` is given.
    values = [value.strip() for value in (element.get("values") or "").split(";")]
    if values[-1:] == [""]:
        values.pop()
    if not values:
        start = element.get("from")
        base = target.get(name) if local(element) == "animate" else None
        if (end := element.get("to")) is not None:
            values = [start if start is not None else base if base is not None else end, end]
        elif (by := element.get("by")) is not None:
            begin = start if start is not None else base if base is not None else re.sub(r"[+-]?[\d.]+", "0", by)
            values = [begin, _sum(begin, by)]
        else:
            return None
    if local(element) == "animateTransform":
        values = [f"{element.get('type') or 'translate'}({value})" for value in values]
    discrete = element.get("calcMode") == "discrete"
    return Curve(values, _offsets(element, len(values), discrete), discrete)


def _offsets(element: Element, count: int, discrete: bool) -> Sequence[float]:
    times = [_float(time) for time in (element.get("keyTimes") or "").split(";") if time.strip()]
    known = [time for time in times if time is not None]
    if len(known) == count:
        return known
    return [index / count if discrete else index / max(1, count - 1) for index in range(count)]


def _sum(first: str, second: str) -> str:
    # Extrapolate numbers individually.
    doubled = interpolate(first, second, 0.5)
    return re.sub(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", lambda found: f"{2 * float(found[0]):.6g}", doubled)


def _start(animations: list[tuple[Element, Effect]]) -> None:
    """Compute all starts: each start and end of an animation may start others."""
    waiting: dict[tuple[str, str], list[tuple[Effect, float]]] = defaultdict(list)
    queue: list[tuple[float, int]] = []
    for number, (element, effect) in enumerate(animations):
        for item in (element.get("begin") or "0s").split(";"):
            if (offset := _clock(item)) is not None:
                heapq.heappush(queue, (offset, number))
            elif found := _SYNCED.match(item.strip()):
                after = _clock((found["offset"] or "0").replace(" ", ""))
                waiting[found["id"].replace("\\", ""), found["event"]].append((effect, after or 0.0))
    numbers = {id(effect): number for number, (_, effect) in enumerate(animations)}
    starts = 0
    while queue and starts < _MAX_STARTS:
        time, number = heapq.heappop(queue)
        element, effect = animations[number]
        if time > _HORIZON or time in effect.begins:
            continue
        starts += 1
        effect.begins.append(time)
        name = element.get("id") or ""
        moments = {"begin": time, "end": time + effect.active}
        for event, moment in moments.items():
            for other, after in waiting.get((name, event), ()):
                if math.isfinite(moment):
                    heapq.heappush(queue, (moment + after, numbers[id(other)]))
    for _, effect in animations:
        effect.begins.sort()


def _clock(text: str) -> float | None:
    """Seconds of a signed clock value; None for anything else."""
    text = text.strip().lower()
    sign = -1.0 if text.startswith("-") else 1.0
    found = _CLOCK.match(text.lstrip("+-").strip())
    if not found:
        return None
    hours, minutes, rest, metric = found.groups()
    return sign * ((float(hours or 0) * 60 + float(minutes or 0)) * 60 + float(rest) * _METRIC[metric])


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
