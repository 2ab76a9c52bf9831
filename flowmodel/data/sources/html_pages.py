"""Parses pages: the rows of an emoji chart, or images with captions. Fetches nothing.

selectolax (Lexbor) parses: on a chart page of 40 MB it takes 0.2 s and 110 MB, Beautiful Soup with html.parser 8 s and 290 MB.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from flowmodel.data.keys import normalize_hexcode, slug

# Headings of a chart's columns that are not vendors; the columns between them are.
_OTHER_COLUMNS = {"№", "#", "no", "no.", "count", "code", "browser", "cldr short name", "short name", "name", "other keywords"}
_CODE_POINT = re.compile(r"U\+([0-9A-Fa-f]{1,6})\b")
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
# Attributes with the address of an image that scripts load when it comes into view.
_LAZY = ("data-src", "data-lazy-src", "data-original", "data-lazy", "data-url")
_LAZY_SETS = ("data-srcset", "data-lazy-srcset", "srcset")
_CANDIDATE = re.compile(r"\s*,*\s*([^\s,]\S*[^\s,]|[^\s,])(?:\s+(\d+(?:\.\d+)?)[wx])?\s*(?:,|$)")
_STAND_IN = 400  # characters of a data URI: a transparent pixel has about 80
_UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")


@dataclass(frozen=True)
class ChartEntry:
    """A row of a chart. `src` is the image's address, absolute, or its data URI; empty if the vendor has no image."""

    key: str
    char: str
    name: str
    keywords: tuple[str, ...]
    group: str
    subgroup: str
    src: str


@dataclass(frozen=True)
class Chart:
    """The rows of a chart in order, with one vendor's images; `vendor` is the heading of its column."""

    entries: list[ChartEntry]
    vendor: str


@dataclass(frozen=True)
class ListedImage:
    """An image on a page: its address, absolute, or data URI, and its caption, which may be empty."""

    src: str
    caption: str


@dataclass(frozen=True)
class ImagePage:
    """The images of a page in their order, and the address of the next page, empty for none."""

    images: list[ListedImage]
    next_url: str


def parse_chart(content: bytes, charset: str, url: str, vendor: str) -> Chart:
    """The chart of a page in the layout of https://unicode.org/emoji/charts/full-emoji-list.html, with `vendor`'s images.

    `vendor` is the heading of a column, or a name that begins with it (Google finds Goog). Raises ValueError that describes the
    page if it has another layout or lacks the vendor.
    """
    tree = _parse(content, charset)
    base = _base(tree, url)
    group = subgroup = found = ""
    columns: list[str] = []
    vendors: dict[str, None] = {}
    entries: dict[str, ChartEntry] = {}
    for row in tree.css("tr"):
        cells = [cell for cell in row.iter() if cell.tag in ("td", "th")]
        if any(_has_class(cell, "bighead") for cell in cells):
            group, subgroup = _group(cells), ""
        elif any(_has_class(cell, "mediumhead") for cell in cells):
            subgroup = _group(cells)
        elif len(cells) > 1 and all(cell.tag == "th" for cell in cells):
            columns = [_text(cell) for cell in cells for _ in range(_span(cell))]
            vendors |= {column: None for column in columns if _is_vendor(column)}
            found = _choose_vendor(vendor, columns) or found
        elif entry := _chart_entry(cells, _cell_of(found, columns, cells), base, group, subgroup):
            entries.setdefault(entry.key, entry)
    if not entries or not vendors:
        raise ValueError(_other_layout(tree, len(entries)))
    if not found:
        problem = f"'{vendor}' is not the heading of one column" if vendor else "no vendor is given"
        raise ValueError(f"{problem}; set vendor to one of the chart's: {', '.join(vendors)}")
    return Chart(list(entries.values()), found)


def _chart_entry(
    cells: Sequence[LexborNode], shown: LexborNode | None, base: str, group: str, subgroup: str
) -> ChartEntry | None:
    code = next((cell for cell in cells if _has_class(cell, "code")), None)
    points = [int(point, 16) for point in _CODE_POINT.findall(_text(code))] if code is not None else []
    key = normalize_hexcode("-".join(f"{point:04x}" for point in points))
    if not key or any(point > 0x10FFFF or 0xD800 <= point <= 0xDFFF for point in points):
        return None
    names = [_text(cell) for cell in cells if _has_class(cell, "name")]
    return ChartEntry(
        key=key,
        char="".join(map(chr, points)),
        name=names[0].lstrip("⊛ ") if names else "",  # the sign marks new emoji
        keywords=tuple(word.strip() for word in names[1].split("|") if word.strip()) if len(names) > 1 else (),
        group=group,
        subgroup=subgroup,
        src=_source(shown.css_first("img"), base) if shown is not None else "",
    )


def _group(cells: Sequence[LexborNode]) -> str:
    return slug(_text(cells[0]).replace("&", " "))


def _other_layout(tree: LexborHTMLParser, rows: int) -> str:
    title = tree.css_first("title")
    return (
        f"not an emoji chart in Unicode's layout (found: title '{_text(title)[:60] if title else ''}', {len(tree.css('table'))} "
        f"tables, {rows} rows with a code, {len(tree.css('img'))} images); for another page use layout: images"
    )


def parse_images(content: bytes, charset: str, url: str, item: str, caption: str = "", next_page: str = "") -> ImagePage:
    """The images that the CSS selector `item` matches, or the first image inside each match.

    The caption is the text of the nearest element that the selector `caption` matches, in ancestors of the image that contain
    no other image; if `caption` is empty, it is alt, title, or the figure's figcaption. Raises ValueError naming an invalid
    selector.
    """
    tree = _parse(content, charset)
    base = _base(tree, url)
    elements = []
    for node in _select(tree, item, "item"):
        element = node if node.tag == "img" else node.css_first("img")
        if element is not None and _source(element, base):
            elements.append(element)
    inside = Counter(above.mem_id for element in elements for above in _ancestors(element))
    _select(tree, caption or "figcaption", "caption")  # raises once for an invalid selector
    images = [ListedImage(_source(element, base), _caption(element, caption, inside)) for element in elements]
    next_url = ""
    for link in _select(tree, next_page, "next_page") if next_page else []:
        next_url = next_url or _join(base, link.attributes.get("href") or "")
    return ImagePage(images, next_url)


def _caption(element: LexborNode, selector: str, inside: Counter[int]) -> str:
    attributes = element.attributes
    if not selector and (own := _plain(attributes.get("alt") or "") or _plain(attributes.get("title") or "")):
        return own
    for above in _ancestors(element):
        if inside[above.mem_id] > 1:
            return ""
        if (node := above.css_first(selector or "figcaption")) is not None and (text := _text(node)):
            return text
    return ""


def _ancestors(node: LexborNode) -> Iterator[LexborNode]:
    above = node.parent
    while above is not None and above.is_element_node:
        yield above
        above = above.parent


def _select(tree: LexborHTMLParser, selector: str, field: str) -> Sequence[LexborNode]:
    try:
        return tree.css(selector)
    except SelectolaxError:
        raise ValueError(f"{field}: '{selector}' is not a supported CSS selector; correct it in sources.yaml") from None


def _is_vendor(column: str) -> bool:
    return bool(column) and column.casefold() not in _OTHER_COLUMNS


def _choose_vendor(wanted: str, columns: Sequence[str]) -> str:
    wanted = wanted.strip().casefold()
    names = {column.casefold(): column for column in columns if _is_vendor(column)}
    if not wanted or wanted in names:
        return names.get(wanted, "")
    like = [column for name, column in names.items() if name.startswith(wanted) or (len(name) > 2 and wanted.startswith(name))]
    return like[0] if len(like) == 1 else ""


def _cell_of(vendor: str, columns: Sequence[str], cells: Sequence[LexborNode]) -> LexborNode | None:
    """The cell under the heading `vendor`. A cell that spans several columns belongs to all of them."""
    if vendor not in columns:
        return None
    wanted, at = columns.index(vendor), 0
    for cell in cells:
        at += _span(cell)
        if wanted < at:
            return cell
    return None


def _span(cell: LexborNode) -> int:
    span = cell.attributes.get("colspan") or "1"
    return min(max(int(span), 1), 1000) if span.isascii() and span.isdigit() else 1


def _source(element: LexborNode | None, base: str) -> str:
    """The address of an image that a browser would load after scrolling to it, or an empty string."""
    if element is None:
        return ""
    given = {name: (value or "").strip() for name, value in element.attributes.items()}
    later = [given[name] for name in _LAZY if given.get(name)]
    sets = [given[name] for name in _LAZY_SETS if given.get(name)]
    parent = element.parent
    if parent is not None and parent.tag == "picture":
        for source in parent.css("source"):
            sets += [value for name in _LAZY_SETS if (value := (source.attributes.get(name) or "").strip())]
    src = given.get("src", "")
    largest = [address for text in sets if (address := _largest(text))]
    # With lazy loading, src is a placeholder.
    ordered = [*later, *([] if _is_stand_in(src) else [src]), *largest, src]
    found = next((address for address in ordered if address), "")
    if not found or found[:5].lower() == "data:":
        return found
    return _join(base, found).partition("#")[0] or found  # an invalid address fails when it is fetched


def _is_stand_in(src: str) -> bool:
    """Whether `src` is a tiny inline image."""
    return not src or (src[:5].lower() == "data:" and len(src) < _STAND_IN)


def _largest(srcset: str) -> str:
    """The address with the greatest width or density of a `srcset`, or an empty string."""
    best, address = -1.0, ""
    for match in _CANDIDATE.finditer(srcset):
        size = float(match[2]) if match[2] else 1.0
        if size > best:
            best, address = size, match[1]
    return address


def _parse(content: bytes, charset: str) -> LexborHTMLParser:
    if content.startswith(b"\xef\xbb\xbf"):
        charset = "utf-8"
    if not charset:
        match = _CHARSET.search(content[:4096])
        charset = match[1].decode("ascii").lower() if match else "utf-8"
    if charset not in _UTF8:
        with suppress(LookupError):
            content = content.decode(charset, "replace").encode()
    return LexborHTMLParser(content)


def _base(tree: LexborHTMLParser, url: str) -> str:
    node = tree.css_first("base[href]")
    return (_join(url, node.attributes.get("href") or "") if node is not None else "") or url


def _join(base: str, link: str) -> str:
    """The absolute address of `link`, or an empty string if it is not an address."""
    try:
        return urljoin(base, link.strip()) if link.strip() else ""
    except ValueError:
        return ""


def _has_class(node: LexborNode, name: str) -> bool:
    return name in (node.attributes.get("class") or "").split()


def _text(node: LexborNode) -> str:
    return _plain(node.text(separator=" "))


def _plain(text: str) -> str:
    return " ".join(text.split())
