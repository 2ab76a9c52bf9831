"""The CSS cascade: writes the value of each property that a browser would use as a presentation attribute.

Afterwards there are no style sheets, `style` attributes or variables, so that the renderer needs no CSS.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import cssselect2
from tinycss2.ast import FunctionBlock, Node

from flowmodel.images.svg.boxes import Box, element_box
from flowmodel.images.svg.colors import Unsupported, parse_values
from flowmodel.images.svg.effects import Effect
from flowmodel.images.svg.keyframes import css_effects
from flowmodel.images.svg.parse import ANIMATIONS, SVG, Element, is_svg, local
from flowmodel.images.svg.sheets import Declared, Sheets, inline, read_sheets
from flowmodel.images.svg.transforms import length
from flowmodel.images.svg.values import COLORS, GEOMETRY, PAINTS, Inherited, resolve_value, substitute

# https://www.w3.org/TR/SVG2/styling.html#PresentationAttributes
_ATTRIBUTES = """
alignment-baseline baseline-shift clip-path clip-rule color color-interpolation color-interpolation-filters direction display
dominant-baseline fill fill-opacity fill-rule filter flood-color flood-opacity font-family font-size font-size-adjust font-
stretch font-style font-variant font-weight image-rendering letter-spacing lighting-color marker-end marker-mid marker-start
mask mask-type opacity overflow paint-order shape-rendering stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset
stroke-linecap stroke-linejoin stroke- miterlimit stroke-opacity stroke-width text-anchor text-decoration text-rendering
transform vector-effect visibility word-spacing writing-mode
"""
_PRESENTATION = frozenset(_ATTRIBUTES.split())
_ONLY_STYLE = ("mix-blend-mode", "isolation")  # the renderer reads these from `style` only
_TRANSFORMS = ("translate", "rotate", "scale", "transform")
_CSS_ONLY = frozenset(
    {*_ONLY_STYLE, "translate", "rotate", "scale", "transform-origin", "transform-box", "marker", "color-scheme"}
)
_PLAIN = re.compile(r"#[0-9a-fA-F]{3,8}|none|currentColor|url\(#[\w.:-]+\)|[+-]?[\d.]+(?:px|%)?")
_WIDE = ("srgb", "srgb-linear")
_CENTER = {"left": 0.0, "top": 0.0, "center": 0.5, "right": 1.0, "bottom": 1.0}


@dataclass
class Cascaded:
    """The results of the cascade besides the tree.

    Attributes:
        effects: the effects of CSS animations.
        lost: descriptions of paints that a browser shows and that could not be resolved.
        notes: other things that could not be resolved.
    """

    effects: list[Effect] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)


def apply_styles(root: Element, view: Box) -> Cascaded:
    """Write the computed values of every element as attributes. `view` is the image's box in CSS pixels."""
    sheets = read_sheets(root, view.width)
    result = Cascaded(notes=sheets.notes)
    contexts: dict[Element, Inherited] = {}
    wrappers = (
        {wrapper.etree_element: wrapper for wrapper in cssselect2.ElementWrapper.from_xml_root(root).iter_subtree()}
        if sheets.rules
        else {}
    )
    start = Inherited(custom=sheets.initial)
    for element in root.iter():
        parent = element.getparent()
        context = contexts.get(parent, start) if parent is not None else start
        if not is_svg(element) or local(element) in ANIMATIONS:  # whose `fill` is not a paint
            contexts[element] = context
            continue
        wrapper = wrappers.get(element)
        declared = [*sheets.declared(wrapper)] if wrapper is not None else []
        if style := element.get("style"):
            declared += inline(style)
        contexts[element] = _Element(element, declared, context, sheets, result, view).apply()
    for element in list(root.iter(f"{{{SVG}}}style")):  # not earlier, because selectors like :nth-child count them
        if (parent := element.getparent()) is not None:
            parent.remove(element)
    return result


class _Element:
    """The cascade of one element."""

    def __init__(
        self, element: Element, declared: list[Declared], inherited: Inherited, sheets: Sheets, result: Cascaded, view: Box
    ) -> None:
        self._element = element
        self._tag = local(element)
        self._sheets = sheets
        self._result = result
        self._view = view
        self._by_name: dict[str, list[Declared]] = {}
        for item in sorted(declared, key=lambda item: item.weight, reverse=True):
            names = ("marker-start", "marker-mid", "marker-end") if item.name == "marker" else (item.name,)
            for name in names:
                self._by_name.setdefault(name, []).append(item)
        self._styled = bool(declared)
        self._context = self._extended(inherited)

    def _extended(self, inherited: Inherited) -> Inherited:
        """The context that children inherit, and that the element's own values may refer to."""
        custom = {name: items[0].nodes for name, items in self._by_name.items() if name.startswith("--")}
        context = Inherited({**inherited.custom, **custom}, inherited.color, inherited.dark) if custom else inherited
        if scheme := self._by_name.get("color-scheme"):
            words = [node.lower_value for node in scheme[0].nodes if node.type == "ident"]
            context = Inherited(context.custom, context.color, "dark" in words and "light" not in words)
        if "color" in self._by_name or "color" in self._element.attrib:
            color, _ = self._winner("color", context)
            if color and color.startswith("#"):
                context = Inherited(context.custom, color, context.dark)
        return context

    def apply(self) -> Inherited:
        """Write the attributes; returns the context for the children."""
        attributes = self._element.attrib
        names = set(self._by_name)
        names.update(name for name in attributes if name in _PRESENTATION and not _PLAIN.fullmatch(attributes[name]))
        if self._styled:
            attributes.pop("style", None)
        kept_style = []
        for name in sorted(names):
            if name.startswith(("--", "animation", "transition")) or name in _TRANSFORMS:
                continue
            if name not in _PRESENTATION and name not in _CSS_ONLY and self._tag not in GEOMETRY.get(name, ()):
                continue
            value, lost = self._winner(name, self._context)
            if lost and value is None:
                self._lose(name, lost)
            if name in _ONLY_STYLE:
                kept_style += [f"{name}:{value}"] if value else []
            elif name in _PRESENTATION or name in GEOMETRY:
                self._set(name, value)
        if kept_style:
            attributes["style"] = ";".join(kept_style)
        self._apply_transforms()
        self._collect_effects()
        return self._context

    def _set(self, name: str, value: str | None) -> None:
        if value is None:
            self._element.attrib.pop(name, None)
        else:
            self._element.set(name, value)

    def _candidates(self, name: str) -> Iterator[tuple[list[Node], tuple[object, ...]]]:
        for item in self._by_name.get(name, ()):
            yield item.nodes, item.weight[:-1]
        attribute = self._element.get(name)
        if attribute is not None and (name in _PRESENTATION or name in GEOMETRY):
            yield parse_values(attribute), (False, 0)

    def _winner(self, name: str, context: Inherited) -> tuple[str | None, Unsupported | None]:
        """The value to use, and the first one that browsers support and that could not be resolved."""
        lost: Unsupported | None = None
        wide, source = None, None
        for nodes, weight in self._candidates(name):
            try:
                value = resolve_value(name, nodes, context)
            except Unsupported as error:
                lost = lost or error
                continue
            if value is None:
                continue
            if wide is None and name in PAINTS | COLORS and _is_wide(nodes):
                # Design tools write an sRGB color before the wide-gamut one. Images here are sRGB.
                wide, source = value, weight
                continue
            if wide is not None and not _same_author(weight, source):
                break
            return value, lost
        return wide, lost

    def _lose(self, name: str, lost: Unsupported) -> None:
        if name in PAINTS | COLORS:
            self._result.lost.append(f"{name} is {lost}")
        else:
            self._result.notes.add(f"ignored: {name} with {lost.what.partition('(')[0]}()")

    def _apply_transforms(self) -> None:
        own = [name for name in _TRANSFORMS if name in self._by_name]
        origin = self._by_name.get("transform-origin")
        if not own and not (origin and "transform" in self._element.attrib):
            return
        parts = []
        for name in _TRANSFORMS:
            if name in own:
                value, lost = self._winner(name, self._context)
                if lost and value is None:
                    self._result.notes.add("ignored: a transform that depends on layout")
                parts.append(value or "")
            elif name == "transform":
                parts.append(self._element.get("transform") or "")
        self._set("transform", self._around_origin(" ".join(filter(None, parts))) or None)

    def _around_origin(self, transform: str) -> str:
        """Apply `transform` around the element's transform-origin."""
        items = self._by_name.get("transform-origin")
        boxed = self._by_name.get("transform-box")
        box_name = "".join(node.lower_value for node in boxed[0].nodes if node.type == "ident") if boxed else "view-box"
        fills = box_name in ("fill-box", "content-box", "stroke-box", "border-box")
        if not transform or (not items and not fills):
            return transform
        box = element_box(self._element) if fills else Box(0.0, 0.0, self._view.width, self._view.height)
        nodes = [node for node in items[0].nodes if node.type not in ("whitespace", "comment")] if items else []
        across, down = _shares(nodes, fills)
        if box is None:
            self._result.notes.add("ignored: a transform relative to an unknown box")
            return transform
        x = box.left + (across[0] * box.width if across[1] == "%" else across[0])
        y = box.top + (down[0] * box.height if down[1] == "%" else down[0])
        return f"translate({x:.10g} {y:.10g}) {transform} translate({-x:.10g} {-y:.10g})"

    def _collect_effects(self) -> None:
        animation = {
            name: _substituted(items[0].nodes, self._context)
            for name, items in self._by_name.items()
            if name.startswith("animation")
        }
        if not animation or not self._sheets.keyframes:
            return

        def resolve(name: str, nodes: list[Node]) -> str | None:
            if name not in _PRESENTATION and name not in _TRANSFORMS and self._tag not in GEOMETRY.get(name, ()):
                return None
            try:
                value = resolve_value(name, nodes, self._context)
            except Unsupported:
                self._result.notes.add("ignored: a keyframe that depends on layout")
                return None
            return self._around_origin(value) if value and name in _TRANSFORMS else value

        self._result.effects += css_effects(self._element, animation, self._sheets.keyframes, resolve, self._element.get)


def _substituted(nodes: list[Node], context: Inherited) -> list[Node]:
    """`nodes` with variables substituted; empty if one is not defined."""
    try:
        return substitute(nodes, context.custom)
    except Unsupported:
        return []


def _is_wide(nodes: list[Node]) -> bool:
    for node in nodes:
        if isinstance(node, FunctionBlock) and node.lower_name == "color":
            spaces = [inner.lower_value for inner in node.arguments if inner.type == "ident"]
            return bool(spaces) and spaces[0] not in _WIDE
    return False


def _same_author(weight: tuple[object, ...], source: tuple[object, ...] | None) -> bool:
    """Whether two declarations have the same weight: in rules of equal weight, or in an element's style and attributes."""
    return weight == source or (source is not None and source[1] == 2 and weight == (False, 0))


def _shares(nodes: list[Node], fills: bool) -> tuple[tuple[float, str], tuple[float, str]]:
    """The two values of transform-origin, each with `%` (as a fraction) or without a unit (in pixels)."""
    found: dict[str, tuple[float, str]] = {}
    for node in nodes[:2]:
        if node.type == "ident":
            share = (_CENTER.get(node.lower_value, 0.5), "%")
            axis = "y" if node.lower_value in ("top", "bottom") else "x" if node.lower_value in ("left", "right") else ""
        else:
            share = (node.value / 100, "%") if node.type == "percentage" else (length(node) or 0.0, "")
            axis = ""
        found[axis or ("x" if "x" not in found else "y")] = share
    default = (0.5, "%") if nodes or fills else (0.0, "")
    return found.get("x", default), found.get("y", default)
