"""One row of the icons table from what a source knows about a picture."""

from collections.abc import Iterable
from typing import Any

from flowmodel.data.keys import base_key, skin_tone
from flowmodel.data.sources.config import BaseSource
from flowmodel.files import sha256_bytes
from flowmodel.images.decode import open_picture
from flowmodel.images.notes import join_notes

# A file system that is away, a permission, a busy machine.
_CURABLE = ("can't be read (", "to draw", "makes the renderer crash")


def icon_row(
    config: BaseSource,
    *,
    key: str,
    file: str,
    content: bytes | ValueError,
    name: str = "",
    char: str = "",
    keywords: Iterable[str] = (),
    captions: Iterable[str] = (),
    group: str = "",
    subgroup: str = "",
    license: str = "",
    origin: str = "",
    redistributable: bool = True,
    svg_pixels: int = 256,
    notes: str = "",
) -> dict[str, Any]:
    """The row of the picture `content`, whose format must be the one that the name `file` ends in.

    PNG bytes are kept as they are; what else Pillow or resvg can draw becomes PNG. A picture that can't be used, or a
    ValueError in place of its bytes, gives a quarantined row that says why. `license`, `origin` and `redistributable` are what
    the source itself says; the entry in sources.yaml has the last word. `notes` is what the source has to tell about the picture.
    """
    png, width, height, reason = b"", 0, 0, ""
    try:
        if isinstance(content, ValueError):
            raise content
        opened = open_picture(content, file, svg_pixels)
        png, width, height = opened.png, opened.width, opened.height
        notes = join_notes((notes, opened.notes))
    except ValueError as error:
        reason = f"{file}: {error}"
    if not name and not reason:
        reason, png, width, height = f"{file}: has no name", b"", 0, 0
    return {
        "id": f"{config.name}/{key}",
        "source": config.name,
        "key": key,
        "char": char,
        "name": name or key,
        "keywords": list(keywords),
        "captions": list(captions),
        "group": group,
        "subgroup": subgroup,
        "base_key": base_key(key),
        "skin_tone": skin_tone(key),
        "png": png,
        "width": width,
        "height": height,
        "sha256": sha256_bytes(png),
        "license": config.license or license,
        "redistributable": redistributable if config.redistributable is None else config.redistributable,
        "origin": config.origin or origin,
        "status": "quarantined" if reason else "ok",
        "reason": reason,
        "notes": notes,
    }


def is_curable(reason: str) -> bool:
    """Whether a picture that was set aside for `reason` may be usable another time without having changed."""
    return any(words in reason for words in _CURABLE)
