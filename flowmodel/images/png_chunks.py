"""Reads a PNG's chunks, and removes those that Pillow fails on although browsers ignore them.

Shape suffixes: H, W pixels, 3 channels (red, green, blue).
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})  # Pillow reports errors in these
_HEEDED = frozenset({b"tRNS", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"eXIf", b"acTL", b"fcTL", b"fdAT"})
_PACKED = frozenset({b"zTXt", b"iTXt"})  # compressed comments, which may unpack to any size
_HARMLESS = 64 * 2**10  # bytes of comments that are not removed


@dataclass
class PngChunks:
    """The chunks of a PNG.

    Attributes:
        content: the image for Pillow: the file's own bytes, or bytes without comments and damaged ancillary chunks.
        depth, color_type: values of IHDR; 0 and -1 for a file without one.
        extras: contents of the ancillary chunks, by name.
        dropped: removed chunks that may affect the image, for a note.
    """

    content: bytes
    depth: int = 0
    color_type: int = -1
    extras: dict[bytes, bytes] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


def read_chunks(content: bytes) -> PngChunks:
    """Read the chunks of `content`. Data that isn't a PNG is returned unchanged, so that Pillow reports the error."""
    found = PngChunks(content)
    if not content.startswith(_SIGNATURE):
        return found
    kept, comments, damaged = [_SIGNATURE], 0, False
    for kind, body, whole, is_sound in _chunks(content):
        if kind == b"IHDR" and len(body) >= 10:
            found.depth, found.color_type = body[8], body[9]
        if kind in _NEEDED:
            kept.append(whole)
        elif kind not in _HEEDED:
            comments += len(whole)
            damaged = damaged or not is_sound or kind in _PACKED
        elif is_sound:
            found.extras.setdefault(kind, body)
            kept.append(whole)
        else:
            damaged = True
            found.dropped.append(f"its damaged {kind.decode()} chunk was ignored")
    if damaged or comments > _HARMLESS:
        found.content = b"".join(kept)
    return found


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes, bool]]:
    """Yields name, content and all bytes of each chunk, and whether its checksum is correct. The last may be truncated."""
    position = len(_SIGNATURE)
    while position < len(content):
        [length] = struct.unpack(">I", content[position : position + 4].ljust(4, b"\xff"))
        kind = content[position + 4 : position + 8]
        body = content[position + 8 : position + 8 + length]
        whole = content[position : position + 12 + length]
        yield kind, body, whole, whole[-4:] == struct.pack(">I", zlib.crc32(kind + body)) and len(body) == length
        if kind == b"IEND":
            return  # trailing data of some programs is not part of the image
        position += 12 + length


def transparent_value(png: PngChunks, image: Image.Image) -> int | tuple[int, int, int] | None:
    """The color of `image` (mode L or RGB) that tRNS makes transparent, in 8 bits; None if there is none.

    Pillow does not scale a transparent gray of 2 or 4 bits. In 8 bits, 16-bit colors can't be compared exactly; see
    :func:`transparent_16`.
    """
    value = png.extras.get(b"tRNS", b"")
    if image.mode == "L" and png.depth in (2, 4) and len(value) >= 2:
        return int.from_bytes(value[:2], "big") * (255 // (2**png.depth - 1))
    return None


def transparent_16(png: PngChunks) -> Image.Image | None:
    """The alpha channel (mode L) of an image with 16-bit colors and a transparent color; None for all others."""
    value = png.extras.get(b"tRNS", b"")
    if (png.depth, png.color_type) != (16, 2) or len(value) < 6:
        return None
    low_HW3, high_HW3 = (_bytes_of(png.content, order) for order in ("L", "B"))
    wanted_3 = np.frombuffer(value[:6], ">u2")
    equal_HW = ((high_HW3.astype(np.uint16) << 8 | low_HW3) == wanted_3).all(axis=-1)
    return Image.fromarray(np.where(equal_HW, 0, 255).astype(np.uint8))


def _bytes_of(content: bytes, order: str) -> np.ndarray:
    """The high (B) or low (L) bytes of 16-bit colors. Pillow drops the second byte and accepts either byte order."""
    image = Image.open(io.BytesIO(content), formats=("PNG",))
    image.tile = [tile._replace(args=f"RGB;16{order}") for tile in image.tile]
    return np.asarray(image)
