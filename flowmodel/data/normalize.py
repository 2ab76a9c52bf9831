"""Fits icons of any size and mode into squares of one size, without distortion and independently of invisible colors.

Shape suffixes: H, W pixels, N = target edge, 4 channels (red, green, blue, alpha).
"""

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, parquet_metadata, sha256_bytes
from flowmodel.images.decode import open_png
from flowmodel.images.notes import join_notes
from flowmodel.tables import ICONS, NORMALIZED_ICONS

# The longer edge of a trimmed icon as a share of the square. The rest is the usual margin of icon sets.
OPTICAL_SIZE = 7 / 8

_CHANGED = ("rgba", "width", "sha256", "status", "reason", "notes")
_FAINT = 26  # alpha of a pixel that hardly anybody sees, a tenth of the range
_SOFT = 1  # pixels that a soft edge may lose or gain by averaging

_Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class NormalizedImage:
    """An image of the target size.

    Attributes:
        premultiplied_NN4: premultiplied RGBA, uint8.
        notes: changes that a user may want to know about; empty if there are none.
    """

    premultiplied_NN4: NDArray[np.uint8]
    notes: str = ""


def normalize_image(png: bytes, size: int, trim: bool = False) -> NormalizedImage:
    """Fit the image, or with `trim` its visible part, into a square of `size` pixels; it is centered, and the rest is
    transparent.

    Resampling is done in premultiplied sRGB (area average to shrink, bilinear to enlarge), so that colors of transparent pixels
    never bleed in (Porter and Duff 1984); docs/sources.md shows what linear light would change. The operation is idempotent.
    Raises ValueError with a short reason when `png` can't be decoded or shows nothing.
    """
    straight = open_png(png)
    box = straight.getbbox()  # of non-transparent pixels
    if box is None:
        raise ValueError("is empty: every pixel is transparent")
    faint = "nearly transparent" if np.asarray(straight.getchannel("A")).max() < _FAINT else ""
    image = straight.convert("RGBa")  # Pillow's name for premultiplied
    if trim:
        edge = max(1, round(size * OPTICAL_SIZE))
        if image.size == (size, size) and abs(_longer(box) - edge) <= _SOFT:
            return NormalizedImage(np.asarray(image), faint)
        image, fitted = _trimmed(image, edge)
    elif image.size == (size, size):
        return NormalizedImage(np.asarray(image), faint)
    else:
        fitted = _fitted(image, size)
    notes = f"enlarged from {image.width} x {image.height}" if max(fitted.size) > max(image.size) else ""
    canvas_NN4 = np.zeros((size, size, 4), np.uint8)
    top, left = (size - fitted.height) // 2, (size - fitted.width) // 2
    canvas_NN4[top : top + fitted.height, left : left + fitted.width] = np.asarray(fitted)
    if not canvas_NN4[..., 3].any():
        raise ValueError("is empty: every pixel is transparent")
    return NormalizedImage(canvas_NN4, join_notes((faint, notes)))


def _fitted(image: Image.Image, edge: int) -> Image.Image:
    """Scale the image so that its longer edge is `edge`."""
    scale = edge / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    if (width, height) == image.size:
        return image
    return image.resize((width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)


def _trimmed(image: Image.Image, edge: int) -> tuple[Image.Image, Image.Image]:
    """The visible part of `image`, original and scaled to `edge`.

    Specks that vanish when averaged don't count, because they would make the rest smaller than other icons.
    """
    while True:
        image = image.crop(image.getchannel("a").getbbox())
        fitted = _fitted(image, edge)
        seen = fitted.getchannel("a").getbbox()
        if seen is None or _longer(seen) >= edge - _SOFT:
            return image, fitted
        across, down = image.width / fitted.width, image.height / fitted.height
        smaller = (int(seen[0] * across), int(seen[1] * down), math.ceil(seen[2] * across), math.ceil(seen[3] * down))
        if smaller == (0, 0, *image.size):
            return image, fitted
        image = image.crop(smaller)


def _longer(box: _Box) -> int:
    return max(box[2] - box[0], box[3] - box[1])


def normalize_icons(tables: Mapping[str, Path], size: int, out: Path, trim: Collection[str] = ()) -> Artifact:
    """Join the `icons` tables of the sources and fit every usable image into `size` x `size` pixels.

    Writes the table `normalized_icons`, which stores images as pixels. Rows are sorted by id. The file's metadata stores the
    order of the sources, because splits depend on it. An image that can't be decoded is quarantined with its reason.

    Args:
        tables: maps source names to paths of icons tables, in the order of sources.yaml.
        trim: names of the sources whose transparent margins are cropped.

    Raises:
        FlowmodelError: a table is missing or breaks the contract, or two tables have the same id.
    """
    icons = pd.concat([ICONS.read(path) for path in tables.values()], ignore_index=True).sort_values("id", ignore_index=True)
    if (repeated := icons["id"].duplicated()).any():
        raise FlowmodelError(f"icon '{icons.loc[repeated, 'id'].iloc[0]}' comes from more than one source; name them differently")
    return NORMALIZED_ICONS.write(out, normalized_rows(icons, size, trim), normalized_metadata(tables, size))


def normalized_rows(icons: pd.DataFrame, size: int, trim: Collection[str] = ()) -> pd.DataFrame:
    """The rows of `normalized_icons` for these rows of `icons`, in their order."""
    # Sequential, because Pillow's decoders hold the GIL and threads would only wait for each other.
    columns = (icons[name].tolist() for name in ("source", "png", "status", "reason", "notes"))
    changed = [_normalize_row(*row, size=size, trim=trim) for row in zip(*columns, strict=True)]
    values = dict(zip(_CHANGED, zip(*changed, strict=True), strict=True)) if changed else dict.fromkeys(_CHANGED, ())
    return icons.drop(columns="png").assign(**values, height=values["width"])


def normalized_metadata(sources: Iterable[str], size: int) -> dict[str, str]:
    """The metadata of the table, with the order of the sources."""
    return {"size": str(size), "sources": json.dumps(list(sources))}


def source_order(normalized: Path) -> list[str]:
    """The sources of a normalized table in the order of sources.yaml; empty for a table without that metadata."""
    return list(json.loads(parquet_metadata(normalized).get("sources", "[]")))


def _normalize_row(
    source: str, png: bytes, status: str, reason: str, notes: str, *, size: int, trim: Collection[str]
) -> tuple[bytes, int, str, str, str, str]:
    """New values for the columns in _CHANGED."""
    if status == "ok":
        try:
            normal = normalize_image(png, size, source in trim)
        except ValueError as error:
            status, reason = "quarantined", str(error)
        else:
            rgba = normal.premultiplied_NN4.transpose(2, 0, 1).tobytes()
            return rgba, size, sha256_bytes(rgba), status, reason, join_notes((notes, normal.notes))
    return b"", 0, sha256_bytes(b""), status, reason, notes
