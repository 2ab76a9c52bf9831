"""Damaged and hostile images: each is an image or a one-line reason, and the next one is read.

FLOWMODEL_FUZZ=10000 sets the number of each kind; the default is some hundreds.
"""

import io
import os
import struct
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from flowmodel.images.decode import decode_png, open_image
from tests.images.mutations import lines, mutated, rewritten
from tests.images.profiles import P3, chunk, embedded, gamma, of_color, png, primaries, profile
from tests.images.svg.drawing import svg_of

INPUTS = int(os.environ.get("FLOWMODEL_FUZZ", "400"))
SECONDS = 3600 if INPUTS > 1000 else 300
DRAWINGS = [svg_of(body, 'width="24" height="24" viewBox="0 0 24 24" color="#000"').decode() for body in lines("drawings")]


def rasters() -> list[tuple[str, bytes]]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 4), np.uint8))

    def saved(mode: str, kind: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        noise.convert(mode).save(buffer, kind, **options)
        return buffer.getvalue()

    frames = [noise.rotate(90 * turn).convert("P") for turn in range(3)]
    extras = (gamma(1.0), primaries(P3), embedded(profile(2.2)), chunk(b"cICP", bytes([12, 13, 0, 1])))
    deep = png(16, 2, struct.pack(">3H", 1, 2, 3) * 8, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))
    shallow = png(2, 0, b"\xaa\xaa", chunk(b"tRNS", b"\0\2"), embedded(profile(1.0, b"GRAY")))
    return [
        ("x.png", saved("RGBA", "PNG")),
        ("x.png", saved("P", "PNG")),
        ("x.png", of_color(1, 2, 3, extras=extras)),
        ("x.png", deep),
        ("x.png", shallow),
        ("x.jpg", saved("RGB", "JPEG", icc_profile=profile(2.2))),
        ("x.jpg", saved("CMYK", "JPEG")),
        ("x.webp", saved("RGBA", "WEBP", lossless=True, icc_profile=profile(1.8))),
        ("x.gif", saved("P", "GIF", save_all=True, append_images=frames)),
        ("x.bmp", saved("RGB", "BMP")),
        ("x.ico", saved("RGBA", "ICO")),
        ("x.tiff", saved("RGBA", "TIFF")),
    ]


def outcome(content: bytes, file: str) -> str:
    """`ok`, or the reason; fails for anything else."""
    try:
        opened = open_image(content, file, 32)
    except ValueError as error:
        reason = str(error)
        assert reason and "\n" not in reason and len(reason) < 300
        # Our error and not the file's: the worker names the unexpected exception.
        assert not any(name in reason for name in ("TypeError", "KeyError", "IndexError", "AttributeError", "AssertionError"))
        return reason
    rgba_HW4 = decode_png(opened.png)
    assert rgba_HW4.shape == (opened.height, opened.width, 4)
    assert "\n" not in opened.notes
    if file.endswith(".svg"):
        assert rgba_HW4[..., 3].any(), "an icon that shows nothing is told"
    return "ok"


@pytest.mark.timeout(SECONDS)
def test_every_drawing_is_an_image_or_a_reason() -> None:
    found: Counter[str] = Counter()
    for seed in range(INPUTS):
        drawing = DRAWINGS[seed % len(DRAWINGS)]
        broken = mutated(drawing.encode(), seed) if seed % 4 == 0 else rewritten(drawing, seed).encode("utf-8", "surrogatepass")
        found[outcome(broken, "x.svg").partition(" (")[0]] += 1
    assert INPUTS / 10 < found["ok"] < INPUTS, found  # otherwise the inputs are wrong


@pytest.mark.timeout(SECONDS)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_every_raster_image_is_an_image_or_a_reason() -> None:
    seeds, found = rasters(), Counter[str]()
    for seed in range(INPUTS):
        file, good = seeds[seed % len(seeds)]
        found[outcome(mutated(good, seed), file).partition(" (")[0]] += 1
    assert INPUTS / 20 < found["ok"] < INPUTS, found
