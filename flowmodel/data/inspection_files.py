"""The output of `flowmodel icons check`: a page, a contact sheet, and a table of captions to start from."""

import base64
import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from flowmodel.data.inspection import Findings
from flowmodel.files import write_bytes
from flowmodel.images.grid import contact_sheet
from flowmodel.images.save import png_bytes, save_image

REPORT, SHEET, CAPTIONS = "report.html", "contact-sheet.png", "captions.csv"

_ON_SHEET, _COLUMNS = 600, 8  # icons
_SHOWN, _LISTED = 12, 200  # images per group, groups
_TILE = 64


@dataclass(frozen=True)
class _Shown:
    """An icon on the page; `uri` is empty if there is no image."""

    icon: str
    name: str
    uri: str


@dataclass(frozen=True)
class _Group:
    title: str
    icons: list[_Shown]
    more: int


def write_findings(findings: Findings, title: str, folder: Path) -> dict[str, Path]:
    """Write the page, the contact sheet and the captions into `folder`; returns the paths by name. Empty ones are not written."""
    written = {REPORT: write_bytes(folder / REPORT, _page(findings, title).encode())}
    if usable := findings.usable:
        shown = usable[:: -(-len(usable) // _ON_SHEET)]
        images = [findings.image(icon) for icon in shown]
        labels = [str(findings.icons.at[icon, "name"]) for icon in shown]
        written[SHEET] = save_image(contact_sheet(images, _COLUMNS, labels, cell=_TILE), folder / SHEET)
    if findings.files:
        written[CAPTIONS] = write_bytes(folder / CAPTIONS, _captions(findings).encode("utf-8-sig"))
    return written


def _captions(findings: Findings) -> str:
    """Write a CSV file that spreadsheets read and that works as a folder's captions file: every file with its name and
    keywords.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["file", "name", "keywords", "captions"])
    for icon, file in sorted(findings.files.items(), key=lambda item: item[1]):
        row = findings.icons.loc[icon]
        for number, caption in enumerate(list(row["captions"]) or [""]):
            writer.writerow([" ".join(file.split()), row["name"], ", ".join(row["keywords"]) if number == 0 else "", caption])
    return buffer.getvalue()


def _page(findings: Findings, title: str) -> str:
    environment = Environment(
        loader=PackageLoader("flowmodel.data"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    names = findings.icons["name"]
    return environment.get_template("icons_check.html.jinja").render(
        title=title,
        count=len(findings.icons),
        usable=len(findings.usable),
        is_fine=findings.is_fine,
        unusable=[_group(findings, reason, ids) for reason, ids in findings.unusable.items()],
        notes=[_group(findings, note, ids) for note, ids in findings.notes.items()],
        look_alikes=[_group(findings, str(names[ids[0]]), ids) for ids in findings.look_alikes[:_LISTED]],
        clusters=len(findings.look_alikes),
        same_name=[_group(findings, name, ids) for name, ids in list(findings.same_name.items())[:_LISTED]],
        small=_group(findings, "", findings.small),
        unread=findings.readability.lines(),
        sizes=_sizes(findings),
        sheet=SHEET if findings.usable else "",
        captions=CAPTIONS if findings.files else "",
    )


def _group(findings: Findings, title: str, ids: list[str]) -> _Group:
    return _Group(title, list(_shown(findings, ids[:_SHOWN])), max(0, len(ids) - _SHOWN))


def _shown(findings: Findings, ids: Iterable[str]) -> Iterable[_Shown]:
    for icon in ids:
        row = findings.icons.loc[icon]
        uri = ""
        if row["status"] == "ok":
            small = findings.image(icon).convert("RGBa")
            small.thumbnail((_TILE, _TILE), Image.Resampling.BOX)
            uri = "data:image/png;base64," + base64.b64encode(png_bytes(small.convert("RGBA"))).decode()
        yield _Shown(findings.files.get(icon, icon), str(row["name"]), uri)


def _sizes(findings: Findings) -> list[tuple[str, int]]:
    """Number of usable icons by size, the most frequent size first."""
    usable = findings.icons.loc[findings.usable]
    counts = Counter(zip(usable["width"].tolist(), usable["height"].tolist(), strict=True))
    return [(f"{width} x {height}", count) for (width, height), count in counts.most_common(_SHOWN)]
