"""Iconify's JSON format: resolves icons and aliases, and converts icons to SVG.

Form: IconifyJSON of https://iconify.design/docs/types/iconify-json.html. Sizes and positions are those of the icon, else of the
set, else 0, 0, 16, 16. An alias overrides its parent's; rotations add up and flips cancel out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
_SIZES = {"left": 0.0, "top": 0.0, "width": 16.0, "height": 16.0}
_MAX_CHAIN = 10  # aliases of aliases; sets have two


@dataclass(frozen=True)
class Icon:
    """An image: `body` in the box (left, top, width, height), then flipped, then rotated by `rotate` x 90° clockwise.

    `other_names` are aliases with the same image.
    """

    body: str
    left: float
    top: float
    width: float
    height: float
    rotate: int = 0
    h_flip: bool = False
    v_flip: bool = False
    other_names: list[str] = field(default_factory=list)


def resolve_icons(data: Mapping[str, Any]) -> dict[str, Icon | ValueError]:
    """The visible icons of an icons.json by name; a ValueError in place of an icon has the reason why it can't be rendered."""
    own, aliases = data["icons"], data.get("aliases")
    aliases = aliases if isinstance(aliases, dict) else {}
    resolved: dict[str, Icon | ValueError] = {}
    for name in [*own, *(alias for alias in aliases if alias not in own)]:
        try:
            chain = _chain(name, own, aliases)
            merged = _merge(chain, data)
        except ValueError as error:
            resolved[name] = error
            continue
        if merged.pop("hidden"):
            continue
        icon = Icon(**merged)
        parent = resolved.get(chain[-1][0])
        if name not in own and isinstance(parent, Icon) and parent == Icon(**merged, other_names=parent.other_names):
            parent.other_names.append(name)
        else:
            resolved[name] = icon
    return resolved


def icon_svg(icon: Icon, color: str) -> bytes:
    """`icon` as an SVG file; `color` stands for currentColor. Raises ValueError for an invalid size."""
    if not (icon.width > 0 and icon.height > 0):
        raise ValueError(f"its size is {icon.width:g} x {icon.height:g}")
    left, top, width, height, body = icon.left, icon.top, icon.width, icon.height, icon.body
    if icon.rotate % 4 or icon.h_flip or icon.v_flip:
        # Read from right to left: center to the origin, flip, rotate, and move into a box that starts at 0, 0.
        middle = f"translate({-(left + width / 2):.10g} {-(top + height / 2):.10g})"
        flip = f"scale({-1 if icon.h_flip else 1} {-1 if icon.v_flip else 1})"
        left = top = 0.0
        if icon.rotate % 2:
            width, height = height, width
        place = f"translate({width / 2:.10g} {height / 2:.10g})"
        body = f'<g transform="{place} rotate({icon.rotate % 4 * 90}) {flip} {middle}">{body}</g>'
    size = f'width="{width:.10g}" height="{height:.10g}" viewBox="{left:.10g} {top:.10g} {width:.10g} {height:.10g}"'
    return f'<svg {_NAMESPACES} {size} color="{color}">{body}</svg>'.encode()


def _chain(name: str, own: Mapping[str, Any], aliases: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The entry called `name` and its parents, up to an icon that isn't an alias."""
    chain: list[tuple[str, Mapping[str, Any]]] = []
    while name not in own:
        entry = aliases.get(name)
        if not isinstance(entry, dict):
            raise ValueError(f"is an alias of '{name}', which is not in the set")
        chain.append((name, entry))
        if len(chain) > _MAX_CHAIN:
            raise ValueError("is a circular alias")
        name = str(entry.get("parent"))
    if not isinstance(own[name], dict) or not isinstance(own[name].get("body"), str):
        raise ValueError("has no image (body)")
    return [*chain, (name, own[name])]


def _merge(chain: list[tuple[str, Mapping[str, Any]]], data: Mapping[str, Any]) -> dict[str, Any]:
    entries = [entry for _, entry in chain]
    body = entries[-1]["body"]
    sizes = {name: _number(name, [*entries, data], default) for name, default in _SIZES.items()}
    turns = sum(_turns(entry) for entry in entries) % 4
    h_flip, v_flip = (sum(entry.get(flip) is True for entry in entries) % 2 == 1 for flip in ("hFlip", "vFlip"))
    hidden = next((entry["hidden"] for entry in entries if "hidden" in entry), False) is True
    return {"body": body, **sizes, "rotate": turns, "h_flip": h_flip, "v_flip": v_flip, "hidden": hidden}


def _number(name: str, entries: list[Mapping[str, Any]], default: float) -> float:
    value = next((entry[name] for entry in entries if name in entry), default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"its {name} is not a number: {str(value)[:40]!r}")
    return float(value)


def _turns(entry: Mapping[str, Any]) -> int:
    value = entry.get("rotate", 0)
    if not isinstance(value, int):
        raise ValueError(f"its rotate is not an integer: {str(value)[:40]!r}")
    return value
