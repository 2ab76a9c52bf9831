"""Makes a row of the icons table from a source's image and texts."""

from collections.abc import Iterable
from typing import Any

from flowmodel.data.keys import base_key, skin_tone
from flowmodel.data.sources.config import BaseSource
from flowmodel.errors import Unavailable
from flowmodel.files import sha256_bytes
from flowmodel.images.decode import open_image
from flowmodel.images.notes import join_notes


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
    """The row of the image `content`, whose format must match the extension of the name `file`.

    PNG bytes are kept unchanged; other formats that Pillow or resvg read are converted to PNG. An unusable image, or a
    ValueError in place of its bytes, gives a quarantined row with the reason, and Unavailable gives a row that is
    `unavailable`. `license`, `origin` and `redistributable` are the source's own information, which the entry in sources.yaml
    overrides. `notes` are the source's notes about the image.
    """
    png, width, height, status, reason = b"", 0, 0, "ok", ""
    try:
        if isinstance(content, ValueError):
            raise content
        opened = open_image(content, file, svg_pixels)
        png, width, height = opened.png, opened.width, opened.height
        notes = join_notes((notes, opened.notes))
    except ValueError as error:
        status, reason = "unavailable" if isinstance(error, Unavailable) else "quarantined", f"{file}: {error}"
    if not name and not reason:
        png, width, height, status, reason = b"", 0, 0, "quarantined", f"{file}: has no name"
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
        "status": status,
        "reason": reason,
        "notes": notes,
    }
