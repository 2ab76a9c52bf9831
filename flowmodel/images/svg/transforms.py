"""Converts CSS transforms to SVG's, which have plain numbers instead of percentages, units and axes."""

import math

from tinycss2.ast import FunctionBlock, Node

from flowmodel.images.svg.colors import Unsupported, split

_DEGREES = {"deg": 1.0, "rad": 180 / math.pi, "grad": 0.9, "turn": 360.0, "": 1.0}
_PIXELS = {"px": 1.0, "": 1.0, "pt": 4 / 3, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4, "pc": 16.0}


def svg_transform(name: str, solid: list[Node]) -> str | None:
    """The attribute `transform` for a CSS property `transform`, `translate`, `rotate` or `scale`.

    None if a browser ignores it, empty for no transform. Raises Unsupported for perspective, and for percentages of an unknown
    box.
    """
    if len(solid) == 1 and solid[0].type == "ident":
        return "" if solid[0].lower_value == "none" else None
    if name != "transform":
        return _function(name, [_single(node) for node in solid])
    functions = []
    for node in solid:
        if not isinstance(node, FunctionBlock):
            return None
        parts = (part for group in split(node.arguments, ",") for part in group if part.type not in ("whitespace", "comment"))
        made = _function(node.lower_name, [_single(part) for part in parts])
        if made is None:
            return None
        functions.append(made)
    return " ".join(functions)


def length(node: Node) -> float | None:
    """CSS pixels; None for percentages and keywords."""
    value, unit = _single(node)
    return value * _PIXELS[unit] if unit in _PIXELS else None


_Value = tuple[float, str]


def _single(node: Node) -> _Value:
    if node.type == "number":
        return float(node.value), ""
    if node.type == "percentage":
        return float(node.value), "%"
    if node.type == "dimension":
        return float(node.value), node.lower_unit
    return math.nan, "?"


def _function(name: str, values: list[_Value]) -> str | None:
    if not values or any(unit == "?" for _, unit in values):
        raise Unsupported(f"{name}()")
    if name in ("rotate", "skewx", "skewy", "rotatez", "skew"):
        angles = [value * _DEGREES.get(unit, math.nan) for value, unit in values]
        if name == "rotate" and len(values) == 3:  # SVG's own form
            return f"rotate({angles[0]:.10g} {values[1][0]:.10g} {values[2][0]:.10g})"
        if name == "skew":
            return f"skewX({angles[0]:.10g})" + (f" skewY({angles[1]:.10g})" if len(angles) > 1 else "")
        return f"{ {'rotatez': 'rotate', 'skewx': 'skewX', 'skewy': 'skewY'}.get(name, name) }({angles[0]:.10g})"
    if name in ("translate", "translatex", "translatey", "translate3d"):
        if any(unit not in _PIXELS for value, unit in values if value):
            raise Unsupported("translate()", "with a percentage of an unknown box")
        lengths = [value * _PIXELS.get(unit, 1.0) for value, unit in values]
        x, y = (0.0, lengths[0]) if name == "translatey" else (lengths[0], lengths[1] if len(lengths) > 1 else 0.0)
        return f"translate({x:.10g} {0.0 if name == 'translatex' else y:.10g})"
    if name in ("scale", "scalex", "scaley", "scale3d"):
        factors = [value / 100 if unit == "%" else value for value, unit in values]
        if name == "scaley":
            return f"scale(1 {factors[0]:.10g})"
        other = 1.0 if name == "scalex" else factors[1] if len(factors) > 1 else factors[0]
        return f"scale({factors[0]:.10g} {other:.10g})"
    if name == "matrix" and len(values) == 6:
        return f"matrix({' '.join(f'{value:.10g}' for value, _ in values)})"
    raise Unsupported(f"{name}()")
