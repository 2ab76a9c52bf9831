"""HTML inside SVG: converts paints that design tools write as HTML, because SVG lacks them, to SVG.

Solid backgrounds and angular (conic) gradients of one box are converted; everything else is reported.

Shape suffixes: H = W = _EDGE pixels, S stops, 4 channels (red, green, blue, alpha).
"""

import base64
import io
import math
from dataclasses import dataclass

from lxml import etree
from tinycss2.ast import FunctionBlock, Node

from flowmodel.images.svg.boxes import Box
from flowmodel.images.svg.colors import Unsupported, parse_values, split, srgb
from flowmodel.images.svg.parse import SVG, Element, is_svg, local
from flowmodel.images.svg.sheets import Declared, inline

_EDGE = 512  # pixels of a gradient's image, twice as many as icons usually have
_DEGREES = {"deg": 1.0, "rad": 180 / math.pi, "grad": 0.9, "turn": 360.0}
_PAINTED_TAGS = frozenset(["img", "canvas", "video", "iframe", "svg", "math", "input", "button", "hr"])
_BLOCKS = frozenset(["div", "section", "article", "main", "header", "footer"])  # others have margins, or no size of their own
_GROUNDS = ("background", "background-image", "background-color")
# The former paint something; the latter change the position or look of a background.
_PAINTS = ("border", "outline", "box-shadow")
_RADIUS = "radius"  # of a border; it clips but paints nothing
_MOVES = (
    *("background-", "margin", "padding", "position", "inset", "top", "left", "right", "bottom", "float", "display"),
    *("visibility", "transform", "translate", "rotate", "scale", "filter", "clip", "mask", "mix-blend-mode", "min-", "max-"),
    "border",
)
_HIDDEN = ("display", "none")
_NEUTRAL = frozenset({"0", "0px", "none", "normal", "static", "relative", "visible", "block", "transparent", "initial"})


def draw_html(root: Element) -> list[str]:
    """Replace every `foreignObject` by shapes; returns the parts that a browser shows but that could not be converted."""
    lost = []
    for element in list(root.iter(f"{{{SVG}}}foreignObject")):
        parent = element.getparent()
        if parent is None:
            continue
        # In a switch, the fallback without HTML comes after it.
        replaced = local(parent) == "switch" or element.get("requiredExtensions") is not None
        shapes = None if replaced else _shapes(element)
        for shape in shapes or ():
            element.addprevious(shape)
        if shapes is None and not replaced:
            lost.append("its HTML is not rendered")
        parent.remove(element)
    return lost


@dataclass(frozen=True)
class _Styled:
    """An HTML element and the declarations of its style."""

    element: Element
    values: dict[str, Declared]

    @classmethod
    def of(cls, element: Element) -> "_Styled":
        return cls(element, {declared.name: declared for declared in inline(element.get("style") or "")})

    def has(self, names: tuple[str, ...], but: str = "\0") -> bool:
        """Whether one of its properties begins with one of `names`, does not end with `but`, and has an effect."""
        return any(
            name.startswith(names)
            and not name.endswith(but)
            and name not in _GROUNDS
            and any(node.serialize() not in _NEUTRAL or (name, node.serialize()) == _HIDDEN for node in _solid(declared))
            for name, declared in self.values.items()
        )

    def grounds(self) -> list[list[Node]]:
        found = [_solid(self.values[name]) for name in _GROUNDS if name in self.values]
        return [nodes for nodes in found if nodes and not (len(nodes) == 1 and nodes[0].serialize() in _NEUTRAL)]

    def length(self, name: str, outer: float | None, otherwise: float | None) -> float | None:
        """Width or height in user units, of an element in one that is `outer` large; raises Unsupported for other values."""
        nodes = _solid(self.values[name]) if name in self.values else []
        match nodes:
            case []:
                return otherwise
            case [node] if node.type == "percentage":
                return otherwise if outer is None else outer * float(node.value) / 100
            case [node] if (node.type == "dimension" and node.lower_unit == "px") or (node.type == "number" and node.value == 0):
                return float(node.value)
            case [node] if node.type == "ident" and node.lower_value == "auto":
                return otherwise
        raise Unsupported(name)

    def opacity(self) -> float:
        nodes = _solid(self.values["opacity"]) if "opacity" in self.values else []
        if not nodes:
            return 1.0
        if len(nodes) > 1 or nodes[0].type not in ("number", "percentage"):
            raise Unsupported("opacity")
        return min(1.0, max(0.0, float(nodes[0].value) / (100 if nodes[0].type == "percentage" else 1)))


def _shapes(element: Element) -> list[Element] | None:
    """Shapes for the HTML of a foreignObject, empty if it paints nothing; None if it can't be rendered."""
    inside = [inner for inner in element.iter() if inner is not element]
    if any(is_svg(e) or local(e) in _PAINTED_TAGS or (e.text or "").strip() or (e.tail or "").strip() for e in inside):
        return None
    styled = [_Styled.of(inner) for inner in inside]
    if any(one.has(_PAINTS, _RADIUS) for one in styled) or _may_be_styled_elsewhere(element, inside):
        return None
    painted = [one for one in styled if one.grounds()]
    if not painted:
        return []
    if len(painted) > 1 or len(painted[0].grounds()) > 1 or any(one.has(_MOVES) for one in styled):
        return None
    above = [_Styled.of(outer) for outer in painted[0].element.iterancestors() if outer in inside]
    try:
        return _painted(painted[0].grounds()[0], element, [*reversed(above), painted[0]])
    except Unsupported:
        return None


def _may_be_styled_elsewhere(element: Element, inside: list[Element]) -> bool:
    """Whether a style sheet may paint the contents, which are not examined here."""
    sheets = "".join("".join(e.itertext()) for e in element.getroottree().getroot().iter() if local(e) == "style")
    return any(e.get("class") or e.get("id") for e in inside) and any(name in sheets for name in ("background", *_PAINTS))


def _solid(declared: Declared) -> list[Node]:
    return [node for node in declared.nodes if node.type not in ("whitespace", "comment")]


def _painted(ground: list[Node], element: Element, chain: list[_Styled]) -> list[Element] | None:
    """The background of the last of `chain`, each of which is in the previous one, the first in `element`; raises Unsupported."""
    left, top, width = (_length(element, name) for name in ("x", "y", "width"))
    height: float | None = _length(element, "height")
    opacity = 1.0
    for one in chain:
        if local(one.element) not in _BLOCKS or one.element.getprevious() is not None:
            return None
        width, height = one.length("width", width, width) or 0.0, one.length("height", height, None)
        opacity *= one.opacity()
    if not height or not all(map(math.isfinite, (left, top, width, height))) or width <= 0:  # as tall as its empty contents
        return []
    box = Box(left, top, width, height)
    if len(ground) == 1 and isinstance(ground[0], FunctionBlock) and ground[0].lower_name.endswith("conic-gradient"):
        shape = _conic(ground[0], box)
    else:
        color = srgb(ground)
        shape = None if color is None else etree.Element(f"{{{SVG}}}rect", style=f"fill:{color};stroke:none;")
    if shape is None:
        return None
    for name, value in zip(("x", "y", "width", "height"), (box.left, box.top, box.width, box.height), strict=True):
        shape.set(name, f"{value:.10g}")
    # As a style, so that style sheets for the image's own shapes do not affect it.
    shape.set("style", f"{shape.get('style', '')}opacity:{opacity:.6g}")
    if transform := element.get("transform"):
        shape.set("transform", transform)
    return [shape]


def _conic(function: FunctionBlock, box: Box) -> Element | None:
    start, stops = 0.0, []
    for index, part in enumerate(split(function.arguments, ",")):
        solid = [node for node in part if node.type not in ("whitespace", "comment")]
        if index == 0 and len(solid) == 2 and solid[0].type == "ident" and solid[0].lower_value == "from":
            start = _angle(solid[1]) or 0.0
            continue
        color = srgb(solid[:1])
        angles = [_angle(node) for node in solid[1:]] or [None]
        if color is None or (len(solid) > 1 and None in angles):
            return None
        stops += [(color, angle) for angle in angles]
    if len(stops) < 2:
        return None
    png = _gradient(_placed(stops), start, box, repeats=function.lower_name.startswith("repeating-"))
    return etree.Element(
        f"{{{SVG}}}image", preserveAspectRatio="none", href=f"data:image/png;base64,{base64.b64encode(png).decode()}"
    )


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


def _gradient(stops: list[tuple[str, float]], start: float, box: Box, repeats: bool) -> bytes:
    """A gradient around the middle of `box` as PNG, between premultiplied colors as CSS has it."""
    import numpy as np
    from PIL import Image

    across_W, down_H = ((np.arange(_EDGE) + 0.5) / _EDGE - 0.5) * box.width, ((np.arange(_EDGE) + 0.5) / _EDGE - 0.5) * box.height
    angle_HW = np.degrees(np.arctan2(across_W, -down_H[:, None])) - start
    angles_S = np.array([angle for _, angle in stops])
    period = angles_S[-1] - angles_S[0]
    angle_HW = angles_S[0] + (angle_HW - angles_S[0]) % period if repeats and period > 0 else angle_HW % 360
    straight_S4 = np.array([list(bytes.fromhex(color[1:].ljust(8, "f"))) for color, _ in stops]) / 255
    premultiplied_S4 = straight_S4 * np.hstack([straight_S4[:, [3, 3, 3]], np.ones((len(stops), 1))])
    rgba_HW4 = np.stack([np.interp(angle_HW, angles_S, channel_S) for channel_S in premultiplied_S4.T], axis=-1)
    rgba_HW4[..., :3] /= np.maximum(rgba_HW4[..., 3:], 1e-6)
    png = io.BytesIO()
    Image.fromarray((rgba_HW4 * 255).round().astype(np.uint8)).save(png, "PNG", compress_level=1)
    return png.getvalue()


def _angle(node: Node) -> float | None:
    if node.type == "percentage":
        return float(node.value) * 3.6
    if node.type == "dimension" and node.lower_unit in _DEGREES:
        return float(node.value) * _DEGREES[node.lower_unit]
    return 0.0 if node.type == "number" and node.value == 0 else None


def _length(element: Element, name: str) -> float:
    nodes = parse_values(element.get(name) or "0")
    return float(nodes[0].value) if nodes and nodes[0].type in ("number", "dimension") else 0.0
