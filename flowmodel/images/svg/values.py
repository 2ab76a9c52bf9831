"""Values of CSS properties: substitutes variables, evaluates arithmetic, and converts values to a form that the renderer
supports.
"""

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import tinycss2
from tinycss2.ast import FunctionBlock, Node

from flowmodel.images.svg.colors import Unsupported, parse_values, split, srgb
from flowmodel.images.svg.transforms import svg_transform

PAINTS = frozenset({"fill", "stroke"})
COLORS = frozenset({"color", "stop-color", "flood-color", "lighting-color"})
NUMBERS = frozenset({"stroke-width", "stroke-miterlimit", "stroke-dashoffset", "opacity"}) | {
    f"{part}-opacity" for part in ("fill", "stroke", "stop", "flood")
}
# Geometry properties of SVG 2, and the elements that have them as attributes.
GEOMETRY: Mapping[str, frozenset[str]] = {
    "cx": frozenset({"circle", "ellipse"}),
    "cy": frozenset({"circle", "ellipse"}),
    "r": frozenset({"circle"}),
    "rx": frozenset({"ellipse", "rect"}),
    "ry": frozenset({"ellipse", "rect"}),
    "x": frozenset({"svg", "rect", "image", "use", "foreignObject"}),
    "y": frozenset({"svg", "rect", "image", "use", "foreignObject"}),
    "width": frozenset({"svg", "rect", "image", "use", "foreignObject"}),
    "height": frozenset({"svg", "rect", "image", "use", "foreignObject"}),
    "d": frozenset({"path"}),
}
_CSS_WIDE = frozenset({"inherit", "initial", "unset", "revert", "revert-layer"})
_INITIAL = {
    "fill": "#000000",
    "stroke": "none",
    "color": "#000000",
    "stop-color": "#000000",
    "flood-color": "#000000",
    "opacity": "1",
}
_INHERITED = frozenset({"fill", "stroke", "color", "visibility", "fill-opacity", "stroke-opacity", "stroke-width"})
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?:px|%|em|rem|ex|pt|pc|mm|cm|in|q)?$", re.IGNORECASE)
_MATH = frozenset({"calc", "min", "max", "clamp"})
_MAX_NODES = 20_000  # of one value after substitution, which stops variable bombs


@dataclass(frozen=True)
class Inherited:
    """The context of an element's values: custom properties, its color and its color scheme."""

    custom: Mapping[str, list[Node]] = field(default_factory=dict)
    color: str = "#000000"
    dark: bool = False


def resolve_value(name: str, nodes: list[Node], context: Inherited) -> str | None:
    """The value of the property `name` in a form that the renderer supports; None if a browser ignores it.

    Raises Unsupported for a value that browsers support and this module does not.
    """
    nodes = _folded(substitute(nodes, context.custom))
    solid = _solid(nodes)
    if not solid:
        return None
    text = tinycss2.serialize(nodes).strip()
    if len(solid) == 1 and solid[0].type == "ident":
        keyword = solid[0].lower_value
        if keyword in _CSS_WIDE:
            return _css_wide(name, keyword)
    if name in PAINTS:
        return _paint(solid, context)
    if name in COLORS:
        return "currentColor" if _is(solid, "currentcolor") and name != "color" else srgb(solid, context.color, context.dark)
    if name in ("transform", "translate", "rotate", "scale"):
        return svg_transform(name, solid)
    if name in NUMBERS:
        if name == "stroke-width" and text == "auto":
            return None
        if any(node.type == "function" for node in solid):
            raise Unsupported(solid[0].serialize()[:40])
        return text if _NUMBER.match(text) else None
    if name in GEOMETRY:
        return _geometry(name, solid, text)
    if name in ("clip-path", "mask", "mask-image") and any(node.type == "function" for node in solid):
        raise Unsupported(solid[0].serialize()[:40])
    return text


def _solid(nodes: list[Node]) -> list[Node]:
    return [node for node in nodes if node.type not in ("whitespace", "comment")]


def _css_wide(name: str, keyword: str) -> str | None:
    if keyword == "inherit" or (keyword == "unset" and name in _INHERITED):
        return "inherit"
    return _INITIAL.get(name)


def _is(solid: list[Node], *keywords: str) -> bool:
    return len(solid) == 1 and solid[0].type == "ident" and solid[0].lower_value in keywords


def _paint(solid: list[Node], context: Inherited) -> str | None:
    if _is(solid, "none"):
        return "none"
    if _is(solid, "currentcolor"):
        return "currentColor"
    if solid[0].type == "url" or (isinstance(solid[0], FunctionBlock) and solid[0].lower_name == "url"):
        target = _url(solid[0])
        fallback = _paint(solid[1:], context) if len(solid) > 1 else ""
        return None if fallback is None else f"url({target}) {fallback}".strip()
    if solid[0].type == "ident" and solid[0].lower_value in ("context-fill", "context-stroke"):
        return _paint(solid[1:], context) if len(solid) > 1 else solid[0].lower_value
    return srgb(solid, context.color, context.dark)


def _url(node: Node) -> str:
    if node.type == "url":
        return str(node.value)
    return next((str(inner.value) for inner in node.arguments if inner.type == "string"), "")


def _geometry(name: str, solid: list[Node], text: str) -> str | None:
    if name == "d":
        if isinstance(solid[0], FunctionBlock) and solid[0].lower_name == "path":
            return next((str(node.value) for node in solid[0].arguments if node.type == "string"), None)
        return "" if _is(solid, "none") else None
    if any(node.type == "function" for node in solid):
        raise Unsupported(text[:40])
    return text if _NUMBER.match(text) else None


def substitute(nodes: list[Node], custom: Mapping[str, list[Node]], depth: int = 0) -> list[Node]:
    """Substitute custom properties for var(); raises Unsupported if one has neither a value nor a fallback."""
    out: list[Node] = []
    for node in nodes:
        if not isinstance(node, FunctionBlock) and node.type not in ("() block", "[] block"):
            out.append(node)
            continue
        if depth > 30:
            raise Unsupported("var()", "whose variables refer to each other")
        if isinstance(node, FunctionBlock) and node.lower_name == "var":
            out += _variable(node, custom, depth)
        elif isinstance(node, FunctionBlock):
            inner = substitute(node.arguments, custom, depth + 1)
            out.append(FunctionBlock(node.source_line, node.source_column, node.name, inner))
        else:
            out.append(type(node)(node.source_line, node.source_column, substitute(node.content, custom, depth + 1)))
        if len(out) > _MAX_NODES:
            raise Unsupported("var()", "whose variables expand without bound")
    return out


def _variable(node: FunctionBlock, custom: Mapping[str, list[Node]], depth: int) -> list[Node]:
    parts = split(node.arguments, ",")
    name = next((inner.value for inner in parts[0] if inner.type == "ident"), "")
    if name in custom:
        try:
            return substitute(custom[name], custom, depth + 1)
        except Unsupported:
            if len(parts) == 1:
                raise
    if len(parts) == 1:
        raise Unsupported(f"var({name})", f"which is not defined; write a fallback, such as var({name}, black)")
    first = next(index for index, inner in enumerate(node.arguments) if inner == ",")
    return substitute(node.arguments[first + 1 :], custom, depth + 1)


def _folded(nodes: list[Node]) -> list[Node]:
    """Replace calc(), min(), max() and clamp() by their results if they have a single unit."""
    out: list[Node] = []
    for node in nodes:
        if isinstance(node, FunctionBlock) and node.lower_name in _MATH:
            value = _evaluate(node)
            out += parse_values(f"{value[0]:.10g}{value[1]}") if value else [node]
        elif isinstance(node, FunctionBlock):
            out.append(FunctionBlock(node.source_line, node.source_column, node.name, _folded(node.arguments)))
        else:
            out.append(node)
    return out


_Quantity = tuple[float, str]  # with its unit
_OPERATIONS = {"*": operator.mul, "/": operator.truediv, "+": operator.add, "-": operator.sub}


def _evaluate(function: FunctionBlock) -> _Quantity | None:
    terms = [
        _sum([node for node in part if node.type not in ("whitespace", "comment")]) for part in split(function.arguments, ",")
    ]
    known = [term for term in terms if term is not None]
    if len(known) != len(terms) or len({unit for _, unit in known}) > 1:
        return None
    values, unit = [value for value, _ in known], known[0][1]
    match function.lower_name:
        case "calc":
            result = values[0]
        case "min":
            result = min(values)
        case "max":
            result = max(values)
        case _:
            if len(values) != 3:
                return None
            result = max(values[0], min(values[1], values[2]))
    return (result, unit) if math.isfinite(result) else None


def _sum(nodes: list[Node]) -> _Quantity | None:
    # "1-2" parses as the numbers 1 and -2; CSS does not treat it as a difference either.
    for operators in (("+", "-"), ("*", "/")):
        for index in range(len(nodes) - 2, 0, -1):
            if nodes[index] in operators:
                return _operate(str(nodes[index].value), _sum(nodes[:index]), _sum(nodes[index + 1 :]))
    if len(nodes) != 1:
        return None
    [node] = nodes
    if node.type == "() block":
        return _sum(_solid(node.content))
    if isinstance(node, FunctionBlock) and node.lower_name in _MATH:
        return _evaluate(node)
    units = {"number": "", "percentage": "%", "dimension": getattr(node, "lower_unit", "")}
    return (float(node.value), units[node.type]) if node.type in units else None


def _operate(sign: str, left: _Quantity | None, right: _Quantity | None) -> _Quantity | None:
    if left is None or right is None or (sign == "/" and (right[1] or not right[0])):
        return None
    if sign in "+-" and left[1] != right[1]:
        return None
    if sign == "*" and left[1] and right[1]:
        return None
    return _OPERATIONS[sign](left[0], right[0]), left[1] or right[1]
