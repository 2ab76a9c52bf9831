"""animateMotion: points along a path."""

import math
from itertools import pairwise

from fontTools.pens.basePen import BasePen
from fontTools.svgLib.path import parse_path

from flowmodel.images.svg.effects import Curve
from flowmodel.images.svg.parse import Element, local

_STEPS = 16  # points per curve segment

_Point = tuple[float, float]


class _Points(BasePen):
    """Points along the drawn outline."""

    def __init__(self) -> None:
        super().__init__(None)
        self.points: list[_Point] = []

    def _moveTo(self, pt: _Point) -> None:
        self.points.append(pt)

    def _lineTo(self, pt: _Point) -> None:
        self.points.append(pt)

    def _curveToOne(self, pt1: _Point, pt2: _Point, pt3: _Point) -> None:
        start = self.points[-1]
        for step in range(1, _STEPS + 1):
            t = step / _STEPS
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            x, y = (sum(w * p[i] for w, p in zip(weights, (start, pt1, pt2, pt3), strict=True)) for i in (0, 1))
            self.points.append((x, y))


def path_points(d: str) -> list[_Point]:
    """Points along the path `d`, dense enough for an icon; empty if `d` is not a path."""
    pen = _Points()
    try:
        parse_path(d, pen)
    except Exception:  # malformed paths raise many exception types
        return []
    return pen.points if all(math.isfinite(value) for point in pen.points for value in point) else []


def motion_curve(element: Element, by_id: dict[str | None, Element]) -> Curve | None:
    """Transforms along the path of an `animateMotion`; None if it has no path."""
    path = next((child for child in element if local(child) == "mpath"), None)
    if path is not None:
        target = by_id.get((path.get("href") or "").removeprefix("#"))
        d = target.get("d") if target is not None else None
    else:
        d = element.get("path")
    if d is None:
        ends = (
            [element.get("from") or "0,0", element.get("to")] if element.get("to") else (element.get("values") or "").split(";")
        )
        d = "M" + "L".join(end for end in ends if end) if any(ends) else None
    points = path_points(d) if d else []
    if not points:
        return None
    rotate = element.get("rotate") or "0"
    lengths = [math.dist(*pair) for pair in pairwise(points)]
    total, passed = sum(lengths) or 1.0, 0.0
    offsets, values = [], []
    for index, point in enumerate(points):
        here, there = (index, index + 1) if index + 1 < len(points) else (max(0, index - 1), index)
        across, down = points[there][0] - points[here][0], points[there][1] - points[here][1]
        along = math.degrees(math.atan2(down, across)) + (180 if rotate == "auto-reverse" else 0)
        angle = along if rotate.startswith("auto") else _float(rotate)
        values.append(f"translate({point[0]:.6g} {point[1]:.6g}) rotate({angle:.6g})")
        offsets.append(passed / total)
        passed += lengths[index] if index < len(lengths) else 0.0
    return Curve(values, offsets)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
