"""Emoji chart pages in the layout of https://unicode.org/emoji/charts/full-emoji-list.html, with images of our own."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

VENDORS = ("Appl", "Goog", "FB")


@dataclass(frozen=True)
class Row:
    """A row of the chart: `images` has one for each vendor, PNG or an `src`; None if the vendor has none."""

    code: str
    name: str
    images: Sequence[bytes | str | None]


def data_uri(content: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def chart_page(rows: Iterable[Row], group: str = "Smileys & Emotion", subgroup: str = "face-smiling") -> bytes:
    """The page; as in the original, headings are repeated and some cells have no end tags."""
    heads = "".join(
        f"<th class='cchars'><a target='text' href='../format.html#col-vendor'>{vendor}</a></th>" for vendor in VENDORS
    )
    parts = [
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>Full Emoji List, v16.0</title></head><body>",
        "<p>This chart provides a list of the Unicode emoji characters.</p><table border='1'>",
        f"<tr><th colspan='7' class='bighead'><a href='#g' name='g'>{escape(group)}</a></th></tr>",
        f"<tr><th colspan='7' class='mediumhead'><a href='#s' name='s'>{escape(subgroup)}</a></th></tr>",
        "<tr><th class='rchars'><a href='#n'>№</a></th><th class='rchars'><a href='#c'>Code</a></th>",
        f"<th class='cchars'><a href='#b'>Browser</a></th>{heads}<th><a href='#d'>CLDR Short Name</a></th></tr>",
    ]
    for number, row in enumerate(rows, 1):
        points = row.code.upper().split("-")
        code = " ".join(f"U+{point:0>4}" for point in points)
        char = "".join(f"&#x{point};" for point in points)
        parts.append(f"<tr><td class='rchars'>{number}</td>\n<td class='code'><a href='#{row.code}'>{code}</a></td>\n")
        parts.append(
            f"<td class='chars'>{char}</td>\n{''.join(map(_cell, row.images))}<td class='name'>{escape(row.name)}</td>\n</tr>"
        )
    return "".join([*parts, "</table></body></html>"]).encode()


def _cell(image: bytes | str | None) -> str:
    if image is None:
        return "<td class='andr miss'>—</td>\n"
    src = image if isinstance(image, str) else data_uri(image)
    return f"<td class='andr'><img alt='' class='imga' src='{escape(src)}'></td>\n"
