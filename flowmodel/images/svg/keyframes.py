"""CSS animations of an element as effects: https://drafts.csswg.org/css-animations-1/."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tinycss2.ast import Declaration, Node

from flowmodel.images.svg.colors import split
from flowmodel.images.svg.effects import Curve, Effect
from flowmodel.images.svg.parse import Element

_DIRECTIONS = ("normal", "reverse", "alternate", "alternate-reverse")
_FILLS = ("forwards", "backwards", "both")
_TIMING = ("linear", "ease", "ease-in", "ease-out", "ease-in-out", "step-start", "step-end")
# Initial values of properties that neither the element nor a keyframe sets.
_INITIAL = {
    "opacity": "1",
    "fill-opacity": "1",
    "stroke-opacity": "1",
    "transform": "",
    "stroke-dashoffset": "0",
    "visibility": "visible",
}

Resolve = Callable[[str, list[Node]], str | None]


@dataclass(frozen=True)
class _Timing:
    name: str = ""
    duration: float = 0.0
    delay: float = 0.0
    iterations: float = 1.0
    direction: str = "normal"
    fill: str = "none"


def css_effects(
    element: Element,
    animation: Mapping[str, list[Node]],
    keyframes: Mapping[str, list[tuple[float, list[Declaration]]]],
    resolve: Resolve,
    base: Callable[[str], str | None],
) -> Iterator[Effect]:
    """Build an effect for every property that the element's `animation` properties change.

    `resolve` returns a keyframe's value as in the cascade (None if it is ignored), and `base` a property's value without
    animation.
    """
    for timing in _timings(animation):
        frames = keyframes.get(timing.name, [])
        values: dict[str, dict[float, str]] = {}
        for offset, declarations in frames:
            for declaration in declarations:
                name = declaration.lower_name
                if (value := resolve(name, declaration.value)) is not None:
                    values.setdefault("transform" if name in ("translate", "rotate", "scale") else name, {})[offset] = value
        for name, by_offset in values.items():
            underlying = base(name) or _INITIAL.get(name)
            if underlying is not None:
                by_offset = {0.0: underlying, 1.0: underlying} | by_offset
            offsets = sorted(by_offset)
            yield Effect(
                element,
                name,
                Curve([by_offset[offset] for offset in offsets], offsets),
                [timing.delay],
                timing.duration,
                timing.iterations,
                freezes=timing.fill in ("forwards", "both"),
                alternates=timing.direction.startswith("alternate"),
                backwards=timing.direction.endswith("reverse"),
                before=timing.fill in ("backwards", "both"),
            )


def _timings(animation: Mapping[str, list[Node]]) -> Iterator[_Timing]:
    timings = [_shorthand(part) for part in split(animation.get("animation", []), ",")] if "animation" in animation else []
    names = split(animation["animation-name"], ",") if "animation-name" in animation else []
    if len(names) > len(timings):
        timings += [_Timing()] * (len(names) - len(timings))
    longhands = {
        name: split(animation[f"animation-{name}"], ",")
        for name in ("name", "duration", "delay", "iteration-count", "direction", "fill-mode")
        if f"animation-{name}" in animation
    }
    for index, timing in enumerate(timings):
        for name, lists in longhands.items():
            part = _shorthand(lists[index % len(lists)])
            match name:
                case "name":
                    timing = replace(timing, name=part.name)
                case "duration":
                    timing = replace(timing, duration=part.duration)
                case "delay":  # a single time in a shorthand is the duration
                    timing = replace(timing, delay=part.duration)
                case "iteration-count":
                    timing = replace(timing, iterations=part.iterations)
                case "direction":
                    timing = replace(timing, direction=part.direction)
                case _:
                    timing = replace(timing, fill=part.fill)
        yield timing


def _shorthand(nodes: list[Node]) -> _Timing:
    timing, times = _Timing(), 0
    for node in nodes:
        if node.type == "dimension" and node.lower_unit in ("s", "ms"):
            seconds = float(node.value) * (0.001 if node.lower_unit == "ms" else 1.0)
            timing = replace(timing, delay=seconds) if times else replace(timing, duration=max(0.0, seconds))
            times += 1
        elif node.type == "number":
            timing = replace(timing, iterations=max(0.0, float(node.value)))
        elif node.type in ("ident", "string"):
            word = node.lower_value if node.type == "ident" else str(node.value)
            if word == "infinite":
                timing = replace(timing, iterations=math.inf)
            elif word in _DIRECTIONS:
                timing = replace(timing, direction=word)
            elif word in _FILLS:
                timing = replace(timing, fill=word)
            elif word not in (*_TIMING, "none", "running", "paused"):
                timing = replace(timing, name=str(node.value))
    return timing
