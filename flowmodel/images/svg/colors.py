"""Converts CSS colors to sRGB, as in browsers, in a form that every renderer reads."""

import re
from functools import lru_cache
from typing import Any

import tinycss2
from tinycss2.ast import FunctionBlock, Node

# System colors of current browsers in a light color scheme.
_SYSTEM = dict.fromkeys(("canvastext", "buttontext", "fieldtext"), "#000000") | {"canvas": "#ffffff", "linktext": "#0000ee"}
_HEX = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$", re.IGNORECASE)
# Color functions that some browsers support and that are not supported here.
_UNKNOWN = frozenset({"attr", "env", "if", "alpha", "contrast-color", "device-cmyk", "image"})
_PERCENT = 100.0


class Unsupported(ValueError):
    """A value that browsers may support and that can't be resolved here. `what` describes it, and why."""

    def __init__(self, what: str, why: str = "which is not supported") -> None:
        super().__init__(f"{what}, {why}")
        self.what = what


def srgb(nodes: list[Node], current: str = "#000000", dark: bool = False) -> str | None:
    """Convert a color to `#rrggbb` or `#rrggbbaa`; None if browsers don't accept it.

    `current` is the value of currentColor inside functions, and `dark` selects in light-dark(). A color outside sRGB is
    clipped, as in browsers. Raises Unsupported for an unknown function.
    """
    nodes = [node for node in nodes if node.type not in ("whitespace", "comment")]
    if len(nodes) != 1:
        return None
    [node] = nodes
    if isinstance(node, FunctionBlock):
        return _function(node, current, dark)
    text = node.serialize()
    if node.type == "hash":
        return _long(text.lower()) if _HEX.match(text) else None
    if node.type != "ident":
        return None
    if node.lower_value == "currentcolor":
        return current
    return _SYSTEM.get(node.lower_value) or _convert(node.lower_value)


def _function(node: FunctionBlock, current: str, dark: bool) -> str | None:
    if node.lower_name == "light-dark":
        choices = split(node.arguments, ",")
        return srgb(choices[dark], current, dark) if len(choices) == 2 else None
    if node.lower_name == "color-mix":
        return _mixed(split(node.arguments, ","), current, dark)
    found = _convert(node.serialize())
    if found is None and (node.lower_name in _UNKNOWN or any(_is_relative(inner) for inner in node.arguments)):
        raise Unsupported(f"{node.lower_name}()")
    return found


def _long(text: str) -> str:
    """`#f00` as `#ff0000`."""
    return text if len(text) > 5 else "#" + "".join(2 * digit for digit in text[1:])


def _is_relative(node: Node) -> bool:
    """Whether the token makes its function depend on another color, or on arithmetic that could not be evaluated."""
    return (node.type == "function" and node.lower_name == "calc") or (node.type == "ident" and node.lower_value == "from")


def _mixed(parts: list[list[Node]], current: str, dark: bool) -> str | None:
    """color-mix(in SPACE, COLOR SHARE, COLOR SHARE), by https://drafts.csswg.org/css-color-5/#color-mix."""
    from coloraide import Color

    if len(parts) != 3:
        return None
    words = [node.lower_value for node in parts[0] if node.type == "ident"]
    colors, shares = [], []
    for part in parts[1:]:
        shares.append(next((node.value for node in part if node.type == "percentage"), None))
        color = srgb([node for node in part if node.type != "percentage"], current, dark)
        if color is None:
            return None
        colors.append(Color(color))
    if len(words) < 2 or words[0] != "in":
        return None
    first, second = shares
    if first is None:
        first = _PERCENT / 2 if second is None else _PERCENT - second
    second = _PERCENT - first if second is None else second
    total = first + second
    if total <= 0 or min(first, second) < 0:
        return None
    try:
        hue = words[2] if len(words) > 3 else "shorter"
        mixed = colors[0].mix(colors[1], second / total, space=words[1], hue=hue)
    except (ValueError, KeyError):
        raise Unsupported("color-mix()") from None
    return _text(mixed, min(1.0, total / _PERCENT))


@lru_cache(maxsize=4096)
def _convert(text: str) -> str | None:
    from coloraide import Color

    try:
        match = Color.match(text, fullmatch=True)
    except Exception:  # malformed numbers raise many exception types
        return None
    return _text(match.color) if match else None


def _text(color: Any, times_alpha: float = 1.0) -> str:
    converted = color.convert("srgb")
    values = [*converted.coords(nans=False), converted.alpha(nans=False) * times_alpha]
    bytes_4 = [round(max(0.0, min(1.0, value)) * 255) for value in values]
    return "#" + "".join(f"{value:02x}" for value in (bytes_4 if bytes_4[3] < 255 else bytes_4[:3]))


def split(nodes: list[Node], separator: str) -> list[list[Node]]:
    """Component values between the literals `separator`."""
    parts: list[list[Node]] = [[]]
    for node in nodes:
        if node == separator:
            parts.append([])
        else:
            parts[-1].append(node)
    return parts


def parse_values(text: str) -> list[Node]:
    """Component values of a property's value."""
    nodes: list[Node] = tinycss2.parse_component_value_list(text, skip_comments=True)
    return nodes
