"""Converts a file's bytes to SVG that any renderer shows as a browser does, and lists what is lost."""

import base64
import binascii
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field

from lxml import etree

from flowmodel.images.svg.boxes import view_box
from flowmodel.images.svg.cascade import apply_styles
from flowmodel.images.svg.effects import Effect
from flowmodel.images.svg.html_paint import draw_html
from flowmodel.images.svg.moments import at_moment, moments
from flowmodel.images.svg.parse import Element, is_svg, local, parse_svg
from flowmodel.images.svg.smil import take_smil

_MAX_NESTING = 3  # of images in images
# Signatures of formats that the renderer supports, and of others that browsers support: BMP, ICO, JPEG XL and AVIF.
_DRAWN = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")
_KNOWN = (b"BM", b"\0\0\1\0", b"\xff\x0a", b"\0\0\0\x0cJXL ")
_TEMPLATES = dict.fromkeys(("linearGradient", "radialGradient"), "gradientTransform") | {"pattern": "patternTransform"}
_SHAPES = frozenset(["path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "image", "text"])
_OUTER_SHEET = re.compile(rb"<\?xml-stylesheet\s[^>]*?href\s*=\s*[\"'](?!#|data:)")
_REFERENCE = re.compile(r"url\(\s*['\"]?#([^'\")]+)['\"]?\s*\)")


@dataclass
class Resolved:
    """An SVG without style sheets, variables, HTML and animations.

    Attributes:
        root: its tree, at the start of its animations.
        effects: the effects of its animations.
        lost: short descriptions of paints that a browser shows and that are missing here.
        notes: other notes for the user.
    """

    root: Element
    effects: Sequence[Effect] = ()
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def texts(self) -> list[str]:
        """Yields the SVG at every candidate moment of its animations."""
        texts = []
        for time in moments(self.effects):
            with at_moment(self.effects, time):
                texts.append(etree.tostring(self.root, encoding="unicode", with_tail=False))
        return texts


def resolve(content: bytes, nesting: int = 0) -> Resolved:
    """Parse a file and convert it to features that a renderer supports.

    Raises ValueError as :func:`flowmodel.images.svg.parse.parse_svg` does.
    """
    root = parse_svg(content)
    notes: list[str] = []
    if any(local(element) == "text" and "".join(element.itertext()).strip() for element in root.iter() if is_svg(element)):
        notes.append("its text is not rendered")
    if _OUTER_SHEET.search(content):  # an instruction, which the tree doesn't have
        notes.append("its external style sheet is ignored")
    lost, inner_notes = _resolve_embedded(root, nesting)
    notes += inner_notes
    lost += draw_html(root)
    styles = apply_styles(root, view_box(root))
    _inherit_transforms(root)
    effects = [*styles.effects, *take_smil(root)]
    if any(effect.begins for effect in effects):
        notes.append("one moment of an endless animation" if len(moments(effects)) > 1 else "the final state of its animation")
    if _refers_nowhere(root):
        notes.append("refers to an element that it does not contain")
    return Resolved(root, effects, [*lost, *styles.lost], list(dict.fromkeys([*notes, *sorted(styles.notes)])))


def why_empty(root: Element) -> str:
    """A short explanation of why a rendering of `root` may be empty; empty if unknown."""
    shapes = [element for element in root.iter() if is_svg(element) and local(element) in _SHAPES]
    if not shapes:
        return "it has no shapes"
    if all(local(shape) == "text" for shape in shapes):
        return "it consists of text, which is not rendered"
    used = {(element.get("href") or "")[1:] for element in root.iter() if local(element) == "use"}
    if all(any(local(above) == "symbol" and above.get("id") not in used for above in shape.iterancestors()) for shape in shapes):
        return "it is a sprite, whose symbols are not used; save each symbol as its own file"
    return ""


def _inherit_transforms(root: Element) -> None:
    """Copy the transform of a referenced gradient or pattern, which the renderer ignores."""
    by_id = {element.get("id"): element for element in root.iter() if local(element) in _TEMPLATES}
    for element in by_id.values():
        name = _TEMPLATES[local(element)]
        seen, other = [element], element
        while name not in other.attrib:
            found = by_id.get((other.get("href") or "")[1:] or None)
            if found is None or found in seen or _TEMPLATES[local(found)] != name:
                break
            seen.append(found)
            other = found
        if name in other.attrib:
            element.set(name, str(other.get(name)))


def _refers_nowhere(root: Element) -> bool:
    ids = {element.get("id") for element in root.iter()}
    for element in root.iter():
        href = element.get("href") or ""
        if href.startswith("#") and local(element) != "a" and href[1:] not in ids:
            return True
        for value in element.attrib.values():
            if "url(" in value and any(target not in ids for target in _REFERENCE.findall(value)):
                return True
    return False


def _resolve_embedded(root: Element, nesting: int) -> tuple[list[str], list[str]]:
    """Resolve embedded SVG images too, because the renderer does not resolve them.

    Returns what is lost, and notes about formats that the renderer does not support.
    """
    lost, notes = [], []
    for element in root.iter():
        href = (element.get("href") or "").lstrip()
        if not is_svg(element) or local(element) not in ("image", "feImage") or not href.startswith("data:"):
            continue
        content = _data(href)
        if content.startswith(_DRAWN) or content[8:12] == b"WEBP":
            continue
        if content.startswith(_KNOWN) or content[4:8] == b"ftyp":
            lost.append("an embedded image is not a PNG, JPEG, GIF, WebP or SVG")
        elif b"<" not in content[:100]:
            notes.append("an embedded image can't be read")
        elif nesting >= _MAX_NESTING:
            raise ValueError("embeds SVG images too deeply")
        else:
            inner = resolve(content, nesting + 1)
            lost += inner.lost
            notes += inner.notes
            text = base64.b64encode(inner.texts()[0].encode()).decode()
            element.set("href", f"data:image/svg+xml;base64,{text}")
    return lost, notes


def _data(href: str) -> bytes:
    """Content of a `data:` URL; empty if it is damaged."""
    head, _, body = href.partition(",")
    content = urllib.parse.unquote_to_bytes(body)
    if ";base64" not in head.lower():
        return content
    try:
        return base64.b64decode(b"".join(content.split()) + b"==")
    except binascii.Error:
        return b""
