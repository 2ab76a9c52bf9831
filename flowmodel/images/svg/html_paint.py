"""HTML inside of a picture: what a design tool writes for paints that SVG doesn't have, drawn with SVG's means.

Solid grounds and angular (conic) gradients are, in wedges that overlap; everything else is not, and is told.
"""

import math
from itertools import pairwise

from lxml import etree
from tinycss2.ast import FunctionBlock, Node

from flowmodel.images.svg.boxes import Box
from flowmodel.images.svg.colors import Unsupported, parse_values, split, srgb
from flowmodel.images.svg.effects import interpolate
from flowmodel.images.svg.parse import SVG, Element, is_svg, local
from flowmodel.images.svg.sheets import Declared, inline

_WEDGES = 240
_DEGREES = {"deg": 1.0, "rad": 180 / math.pi, "grad": 0.9, "turn": 360.0}
_PAINTED_TAGS = frozenset(["img", "canvas", "video", "iframe", "svg", "math", "input", "button", "hr"])
_NOT_PAINT = frozenset({"transparent", "none", "initial"})


def draw_html(root: Element) -> list[str]:
    """Put shapes in the place of every `foreignObject`; returns what a browser shows and could not be drawn."""
    lost = []
    for element in list(root.iter(f"{{{SVG}}}foreignObject")):
        parent = element.getparent()
        if parent is None:
            continue
        # Inside of a switch stands, behind it, what is drawn without HTML.
        replaced = local(parent) == "switch" or element.get("requiredExtensions") is not None
        shapes = None if replaced else _shapes(element)
        for shape in shapes or ():
            element.addprevious(shape)
        if shapes is None and not replaced:
            lost.append("HTML in it is not drawn")
        parent.remove(element)
    return lost


def _shapes(element: Element) -> list[Element] | None:
    """Shapes for the HTML of a foreignObject, empty where it paints nothing; None where it can't be drawn."""
    box = Box(*(_length(element, name) for name in ("x", "y", "width", "height")))
    shapes: list[Element] = []
    for inner in element.iter():
        if inner is element:
            continue
        if is_svg(inner) or local(inner) in _PAINTED_TAGS or (inner.text or "").strip() or (inner.tail or "").strip():
            return None
        ground = _ground(inner)
        if ground is None:
            continue
        made = _painted(ground, box, element.get("transform"))
        if made is None or shapes:
            return None
        shapes.append(made)
    return shapes


def _ground(element: Element) -> list[Node] | None:
    values = {
        declared.name: declared for declared in inline(element.get("style") or "") if declared.name.startswith("background")
    }
    for name in ("background", "background-image", "background-color"):
        if name in values and (solid := _solid(values[name])) and not (len(solid) == 1 and solid[0].serialize() in _NOT_PAINT):
            return solid
    return None


def _solid(declared: Declared) -> list[Node]:
    return [node for node in declared.nodes if node.type not in ("whitespace", "comment")]


def _painted(ground: list[Node], box: Box, transform: str | None) -> Element | None:
    try:
        if len(ground) == 1 and isinstance(ground[0], FunctionBlock) and ground[0].lower_name == "conic-gradient":
            group = _conic(ground[0], box)
        else:
            color = srgb(ground)
            group = None if color is None else etree.Element(f"{{{SVG}}}g")
            if group is not None and color:
                _shape(group, "rect", color, x=box.left, y=box.top, width=box.width, height=box.height)
    except Unsupported:
        return None
    if group is not None and transform:
        group.set("transform", transform)
    return group


def _conic(function: FunctionBlock, box: Box) -> Element | None:
    start, stops = 0.0, []
    for index, part in enumerate(split(function.arguments, ",")):
        solid = [node for node in part if node.type not in ("whitespace", "comment")]
        if index == 0 and solid and solid[0].type == "ident" and solid[0].lower_value in ("from", "at"):
            if any(node.type == "ident" and node.lower_value == "at" for node in solid):
                return None
            start = _angle(solid[1]) or 0.0
            continue
        color = srgb(solid[:1])
        angles = [_angle(node) for node in solid[1:]] or [None]
        if color is None or (len(solid) > 1 and None in angles):
            return None
        stops += [(color, angle) for angle in angles]
    if len(stops) < 2:
        return None
    return _wedges(_placed(stops), start, box)


def _placed(stops: list[tuple[str, float | None]]) -> list[tuple[str, float]]:
    """Stops with an angle each: those without stand at equal distances between their neighbors."""
    angles = [angle for _, angle in stops]
    angles[0] = 0.0 if angles[0] is None else angles[0]
    angles[-1] = 360.0 if angles[-1] is None else angles[-1]
    known = [index for index, angle in enumerate(angles) if angle is not None]
    placed: list[tuple[str, float]] = []
    for index, (color, _) in enumerate(stops):
        before, after = max(i for i in known if i <= index), min(i for i in known if i >= index)
        low, high = angles[before] or 0.0, angles[after] or 0.0
        angle = low + (high - low) * (index - before) / max(1, after - before)
        placed.append((color, max(angle, placed[-1][1] if placed else angle)))
    return placed


def _wedges(stops: list[tuple[str, float]], start: float, box: Box) -> Element:
    group = etree.Element(f"{{{SVG}}}svg")
    # An inner picture cuts off what stands over its edges.
    for name, value in zip(("x", "y", "width", "height"), (box.left, box.top, box.width, box.height), strict=True):
        group.set(name, f"{value:.10g}")
    group.set("viewBox", f"0 0 {box.width:.10g} {box.height:.10g}")
    middle_x, middle_y, radius = box.width / 2, box.height / 2, math.hypot(box.width, box.height)
    step = 360 / _WEDGES
    _shape(group, "rect", _color_at(stops, 360 - step / 2), x=0, y=0, width=box.width, height=box.height)
    for wedge in range(_WEDGES):
        angles = (start + wedge * step, start + min(360.0, (wedge + 2) * step))  # over the next one's ground: no seams
        points = [(middle_x + radius * math.sin(math.radians(a)), middle_y - radius * math.cos(math.radians(a))) for a in angles]
        outline = " ".join(f"{x:.6g},{y:.6g}" for x, y in ((middle_x, middle_y), *points))
        _shape(group, "polygon", _color_at(stops, (wedge + 0.5) * step), points=outline)
    return group


def _color_at(stops: list[tuple[str, float]], angle: float) -> str:
    if angle <= stops[0][1]:
        return stops[0][0]
    for (first, low), (second, high) in pairwise(stops):
        if angle <= high:
            return interpolate(first, second, (angle - low) / (high - low) if high > low else 1.0)
    return stops[-1][0]


def _shape(parent: Element, tag: str, color: str, **attributes: float | str) -> None:
    shape = etree.SubElement(parent, f"{{{SVG}}}{tag}", fill=color)
    for name, value in attributes.items():
        shape.set(name, value if isinstance(value, str) else f"{value:.10g}")


def _angle(node: Node) -> float | None:
    if node.type == "percentage":
        return float(node.value) * 3.6
    if node.type == "dimension" and node.lower_unit in _DEGREES:
        return float(node.value) * _DEGREES[node.lower_unit]
    return 0.0 if node.type == "number" and node.value == 0 else None


def _length(element: Element, name: str) -> float:
    nodes = parse_values(element.get(name) or "0")
    return float(nodes[0].value) if nodes and nodes[0].type in ("number", "dimension") else 0.0
