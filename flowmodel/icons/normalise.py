"""Bring icons of any size and mode to one square size, without distortion and independent of invisible colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, sha256_bytes
from flowmodel.icons.rgba import encode_png, open_png, unpremultiply
from flowmodel.icons.table import read_icon_table, write_icon_table


def normalise_picture(png: bytes, size: int) -> NDArray[np.uint8]:
    """Straight RGBA, uint8 (size, size, 4): the picture fitted into the square, centred, the rest transparent.

    Averaged in premultiplied space (area average when shrinking, bilinear when enlarging), so that colour under transparent
    pixels never bleeds in. Raises ValueError with a short reason when `png` can't be decoded or shows nothing.
    """
    picture = open_png(png).convert("RGBa")  # Pillow's name for premultiplied
    scale = size / max(picture.size)
    width, height = (max(1, round(edge * scale)) for edge in picture.size)
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)
    canvas_HW4 = np.zeros((size, size, 4), np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    canvas_HW4[top : top + height, left : left + width] = np.asarray(picture)
    if not canvas_HW4[..., 3].any():
        raise ValueError("shows nothing: every pixel is transparent")
    return unpremultiply(canvas_HW4)


def normalise_icons(sources: Sequence[Path], size: int, out: Path) -> Artifact:
    """Join the `icons` tables at `sources` and bring every usable picture to `size` x `size` pixels.

    Rows are sorted by id, so that the order of the sources doesn't matter. A picture that can't be decoded is quarantined
    with its reason. Raises FlowmodelError when a table is missing or breaks the contract, or two give the same id.
    """
    icons = pd.concat([read_icon_table(path) for path in sources], ignore_index=True).sort_values("id", ignore_index=True)
    if (repeated := icons["id"].duplicated()).any():
        raise FlowmodelError(
            f"icon '{icons.loc[repeated, 'id'].iloc[0]}' comes from more than one source; give them different names"
        )
    rows = [_normalise_row(row, size) for row in icons.to_dict("records")]
    return write_icon_table(out, pd.DataFrame(rows, columns=icons.columns), {"size": str(size)})


def _normalise_row(row: dict, size: int) -> dict:
    png, edge = b"", 0
    if row["status"] == "ok":
        try:
            png, edge = encode_png(normalise_picture(row["png"], size)), size
        except ValueError as error:
            row |= {"status": "quarantined", "reason": str(error)}
    return row | {"png": png, "width": edge, "height": edge, "sha256": sha256_bytes(png)}
