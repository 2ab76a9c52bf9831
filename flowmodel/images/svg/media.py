"""Evaluates conditions of style sheets as a browser that shows the image on a light page of a screen."""

from tinycss2.ast import Node

from flowmodel.images.svg.colors import split
from flowmodel.images.svg.transforms import length

_TRUE = {
    "prefers-color-scheme": ("light",),
    "prefers-reduced-motion": ("no-preference",),
    "prefers-contrast": ("no-preference",),
    "forced-colors": ("none",),
    "color-gamut": ("srgb",),
    "dynamic-range": ("standard",),
    "scripting": ("none",),
    "update": ("fast",),
    "inverted-colors": ("none",),
    "orientation": ("portrait", "landscape"),
}


def media_applies(prelude: list[Node], width: float) -> bool:
    """Whether a @media condition holds; `width` is the image's width in CSS pixels. Unknown conditions do not hold."""
    queries = split(prelude, ",")
    return any(_query(_solid(query), width) for query in queries)


def supports_applies(prelude: list[Node]) -> bool:
    """Whether a @supports condition holds; every feature counts as supported."""
    words = [node.lower_value for node in prelude if node.type == "ident"]
    return not words or words[0] != "not"


def _solid(nodes: list[Node]) -> list[Node]:
    return [node for node in nodes if node.type not in ("whitespace", "comment")]


def _query(nodes: list[Node], width: float) -> bool:
    if not nodes:
        return True
    words = [node.lower_value if node.type == "ident" else "" for node in nodes]
    if words[0] == "not":
        return not _query(nodes[1:], width)
    if "or" in words:
        index = words.index("or")
        return _query(nodes[:index], width) or _query(nodes[index + 1 :], width)
    return all(_term(node, width) for node, word in zip(nodes, words, strict=True) if word not in ("and", "only"))


def _term(node: Node, width: float) -> bool:
    if node.type == "ident":
        return bool(node.lower_value in ("all", "screen"))
    if node.type != "() block":
        return False
    inner = _solid(node.content)
    if inner and (inner[0].type == "() block" or (inner[0].type == "ident" and inner[0].lower_value == "not")):
        return _query(inner, width)
    if len(inner) < 3 or inner[0].type != "ident":
        return bool(inner) and inner[0].type == "ident" and inner[0].lower_value == "color"
    name, value = inner[0].lower_value, inner[-1]
    if name in ("min-width", "max-width"):
        limit = length(value)
        return limit is not None and (width >= limit if name == "min-width" else width <= limit)
    return value.type == "ident" and value.lower_value in _TRUE.get(name, ())
