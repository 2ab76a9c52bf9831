"""Animations from noise to icons as animated PNGs, which support partial transparency, unlike GIFs.

Shape suffixes: S times, N images, H/W height and width.
"""

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from flowmodel.files import Artifact, write_bytes
from flowmodel.images.rgba import to_image

FRAME_MILLISECONDS, PAUSE_MILLISECONDS = 70, 2400
_FRAMES = 24  # at least


def write_animation(states_SN4HW: NDArray[np.uint8], path: Path, columns: int = 4) -> Artifact:
    """Write the sampling of N images, side by side, as an animated PNG; `states_SN4HW` are premultiplied, the images last."""
    sheets = [_sheet(states_N4HW, columns) for states_N4HW in between(states_SN4HW)]
    return Artifact.of(write_bytes(path, animated_png(sheets)))


def between(states_SN4HW: NDArray[np.uint8], frames: int = _FRAMES) -> NDArray[np.uint8]:
    """Insert equally spaced states between steps until there are at least `frames`.

    A straight line is the exact path of an Euler step and close to that of other solvers.
    """
    steps = len(states_SN4HW) - 1
    each = max(1, -(-frames // max(steps, 1)))
    floats = states_SN4HW.astype(np.float32)
    filled = [a + share / each * (b - a) for a, b in pairwise(floats) for share in range(each)]
    return np.stack([*filled, floats[-1]]).round().astype(np.uint8)


def animated_png(frames: Sequence[Image.Image]) -> bytes:
    """Write `frames` (straight RGBA, equal sizes) as an endless animation with a pause on the last frame.

    Every frame replaces the previous one, which would otherwise show through transparent pixels.
    """
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="PNG",
        save_all=True,
        append_images=frames[1:],
        duration=[FRAME_MILLISECONDS] * (len(frames) - 1) + [PAUSE_MILLISECONDS],
        loop=0,
        disposal=PngImagePlugin.Disposal.OP_NONE,
        blend=PngImagePlugin.Blend.OP_SOURCE,
    )
    return buffer.getvalue()


def _sheet(rgba_N4HW: NDArray[np.uint8], columns: int) -> Image.Image:
    size, gap = rgba_N4HW.shape[-1], max(1, rgba_N4HW.shape[-1] // 16)
    columns = min(columns, len(rgba_N4HW))
    rows = -(-len(rgba_N4HW) // columns)
    sheet = Image.new("RGBA", (columns * (size + gap) - gap, rows * (size + gap) - gap))
    for i, rgba_4HW in enumerate(rgba_N4HW):
        sheet.paste(to_image(rgba_4HW), (i % columns * (size + gap), i // columns * (size + gap)))
    return sheet
