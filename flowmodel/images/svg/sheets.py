"""The style sheets of an SVG: their flattened rules, in order, and their keyframes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cssselect2
import tinycss2
from tinycss2.ast import AtRule, Declaration, Node, QualifiedRule

from flowmodel.images.svg.colors import split
from flowmodel.images.svg.media import media_applies, supports_applies
from flowmodel.images.svg.parse import Element, is_svg, local

_MAX_DEPTH = 20  # of nested rules


@dataclass(frozen=True)
class Declared:
    """A value for a property, and its weight (origin, specificity, order); the largest weight wins."""

    name: str
    nodes: list[Node]
    weight: tuple[Any, ...]


@dataclass
class Sheets:
    """All `<style>` elements. `matcher` finds the declarations of an element; keyframes are (offset, declarations)."""

    matcher: cssselect2.Matcher = field(default_factory=cssselect2.Matcher)
    keyframes: dict[str, list[tuple[float, list[Declaration]]]] = field(default_factory=dict)
    initial: dict[str, list[Node]] = field(default_factory=dict)  # initial values of custom properties from @property
    notes: set[str] = field(default_factory=set)
    rules: int = 0

    def declared(self, wrapper: cssselect2.ElementWrapper) -> Iterator[Declared]:
        """All declarations whose selectors match the element."""
        for specificity, order, pseudo, (declarations, layered) in self.matcher.match(wrapper):
            if pseudo is None:
                for index, declaration in enumerate(declarations):
                    yield _declared(declaration, (1, not layered), (*specificity, order, index))


def read_sheets(root: Element, width: float) -> Sheets:
    """Read the style sheets below `root`; @media conditions are evaluated for an image `width` pixels wide."""
    sheets = Sheets()
    for element in (element for element in root.iter() if local(element) == "style" and is_svg(element)):
        media = tinycss2.parse_component_value_list(element.get("media") or "")
        text = "".join(element.itertext())
        if element.get("type", "text/css").strip().lower() in ("", "text/css") and media_applies(media, width):
            rules = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
            _read(sheets, rules, None, width, False, 0)
    return sheets


def inline(text: str) -> Iterator[Declared]:
    """The declarations of a `style` attribute."""
    for index, declaration in enumerate(tinycss2.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True)):
        if isinstance(declaration, Declaration):
            yield _declared(declaration, (2, True), (index,))


def _declared(declaration: Declaration, origin: tuple[int, bool], order: tuple[int, ...]) -> Declared:
    name = declaration.name if declaration.name.startswith("--") else declaration.lower_name
    return Declared(name, declaration.value, (declaration.important, *origin, order))


def _read(sheets: Sheets, rules: Iterable[Node], parent: list[Node] | None, width: float, layered: bool, depth: int) -> None:
    """Add `rules`; `parent` is the selector of the enclosing rule."""
    if depth > _MAX_DEPTH:
        sheets.notes.add("its style sheet is nested too deeply and only partly applied")
        return
    own: list[Declaration] = []
    for rule in rules:
        if isinstance(rule, Declaration):
            own.append(rule)
        elif isinstance(rule, QualifiedRule):
            selector = rule.prelude if parent is None else _nested(rule.prelude, parent)
            _read(sheets, _contents(rule.content), selector, width, layered, depth + 1)
        elif isinstance(rule, AtRule):
            _read_at_rule(sheets, rule, parent, width, layered, depth)
    if own and parent is not None:
        _add(sheets, parent, own, layered)


def _read_at_rule(sheets: Sheets, rule: AtRule, parent: list[Node] | None, width: float, layered: bool, depth: int) -> None:
    keyword = rule.lower_at_keyword.removeprefix("-webkit-")
    if keyword == "import":
        sheets.notes.add("its external style sheet is ignored")
    if rule.content is None:
        return
    applies = {
        "media": lambda: media_applies(rule.prelude, width),
        "supports": lambda: supports_applies(rule.prelude),
        "layer": lambda: True,
    }
    if keyword == "keyframes":
        name = next((str(node.value) for node in rule.prelude if node.type in ("ident", "string")), "")
        sheets.keyframes[name] = _keyframes(rule.content)
    elif keyword == "property":
        name = next((str(node.value) for node in rule.prelude if node.type == "ident"), "")
        for item in _contents(rule.content):
            if isinstance(item, Declaration) and item.lower_name == "initial-value":
                sheets.initial[name] = item.value
    elif keyword in applies and applies[keyword]():
        # Inside a rule it contains declarations, outside it contains rules; this parses both.
        items = _contents(rule.content) if parent else tinycss2.parse_rule_list(rule.content, True, True)
        _read(sheets, items, parent, width, layered or keyword == "layer", depth + 1)


def _contents(content: list[Node]) -> list[Node]:
    items: list[Node] = tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True)
    return items


def _nested(prelude: list[Node], parent: list[Node]) -> list[Node]:
    """A nested rule's selector with `&` replaced, or with the parent as prefix."""
    around = f":is({tinycss2.serialize(parent).strip()})"
    out: list[Node] = []
    for part in split(prelude, ","):
        text = tinycss2.serialize(part).strip()
        text = text.replace("&", around) if "&" in text else f"{around} {text}"
        out += [*tinycss2.parse_component_value_list(", " if out else ""), *tinycss2.parse_component_value_list(text)]
    return out


def _add(sheets: Sheets, prelude: list[Node], declarations: list[Declaration], layered: bool) -> None:
    for part in [prelude] if _compiled(prelude) else split(prelude, ","):
        for selector in _compiled(part) or ():
            sheets.matcher.add_selector(selector, (declarations, layered))
            sheets.rules += 1


def _compiled(prelude: list[Node]) -> list[Any] | None:
    """Compile a selector; None for an unsupported one, such as one that depends on pointer or focus."""
    try:
        return list(cssselect2.compile_selector_list(prelude))
    except (cssselect2.SelectorError, ValueError, TypeError, RecursionError):
        return None


def _keyframes(content: list[Node]) -> list[tuple[float, list[Declaration]]]:
    frames = []
    for rule in tinycss2.parse_rule_list(content, skip_comments=True, skip_whitespace=True):
        if not isinstance(rule, QualifiedRule):
            continue
        declarations = [item for item in _contents(rule.content) if isinstance(item, Declaration)]
        for node in rule.prelude:
            if node.type == "percentage":
                frames.append((node.value / 100, declarations))
            elif node.type == "ident" and node.lower_value in ("from", "to"):
                frames.append((float(node.lower_value == "to"), declarations))
    return sorted(frames, key=lambda frame: frame[0])
