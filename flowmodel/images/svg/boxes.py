"""Bounding boxes of elements in their own coordinates."""

import re
from dataclasses import dataclass

from flowmodel.images.svg.motion import path_points
from flowmodel.images.svg.parse import Element, local

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Box:
    """A rectangle in user units."""

    left: float
    top: float
    width: float
    height: float


def view_box(root: Element) -> Box:
    """The image's box: its viewBox, otherwise its width and height, otherwise 100 x 100, as in the renderer."""
    numbers = [float(number) for number in _NUMBER.findall(root.get("viewBox") or "")]
    if len(numbers) == 4:
        return Box(*numbers)
    return Box(0.0, 0.0, _number(root, "width", 100.0), _number(root, "height", 100.0))


def element_box(element: Element) -> Box | None:
    """The bounding box of a shape, or of the shapes of a group without transforms; None if it is unknown."""
    found = _box(element)
    if found is not None or len(element) == 0:
        return found
    boxes = [element_box(child) for child in element if child.get("transform") is None]
    known = [box for box in boxes if box is not None]
    if len(known) < len(element):
        return None
    left, top = min(box.left for box in known), min(box.top for box in known)
    right, bottom = max(box.left + box.width for box in known), max(box.top + box.height for box in known)
    return Box(left, top, right - left, bottom - top)


def _box(element: Element) -> Box | None:
    get = lambda name, default=0.0: _number(element, name, default)  # noqa: E731
    match local(element):
        case "rect" | "image":
            return Box(get("x"), get("y"), get("width"), get("height"))
        case "circle" | "ellipse":
            across, down = get("rx", get("r")), get("ry", get("r"))
            return Box(get("cx") - across, get("cy") - down, 2 * across, 2 * down)
        case "line":
            points = [(get("x1"), get("y1")), (get("x2"), get("y2"))]
        case "polygon" | "polyline":
            numbers = [float(number) for number in _NUMBER.findall(element.get("points") or "")]
            points = list(zip(numbers[::2], numbers[1::2], strict=False))
        case "path":
            points = path_points(element.get("d") or "")
        case _:
            return None
    if not points:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def _number(element: Element, name: str, default: float) -> float:
    found = _NUMBER.match((element.get(name) or "").strip())
    return float(found[0]) if found else default
