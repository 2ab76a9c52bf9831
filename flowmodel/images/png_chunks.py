"""A PNG's chunks: those that a browser's picture depends on, without the others that Pillow would stumble over.

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
_NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})  # Pillow says what is wrong with one of these
_HEEDED = frozenset({b"tRNS", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"eXIf", b"acTL", b"fcTL", b"fdAT"})
_PACKED = frozenset({b"zTXt", b"iTXt"})  # a comment may unpack to any size
_HARMLESS = 64 * 2**10  # bytes of comments that nobody minds


@dataclass
class PngChunks:
    """What was found in a PNG.

    Attributes:
        content: the same picture for Pillow: the file's own bytes, or without comments and damaged extras.
        depth, color_type: of IHDR; 0 and -1 for a file that has none.
        extras: what the chunks say that aren't the picture itself, by name.
        dropped: what was left out although a picture may depend on it, for a note.
    """

    content: bytes
    depth: int = 0
    color_type: int = -1
    extras: dict[bytes, bytes] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


def read_chunks(content: bytes) -> PngChunks:
    """Look through the chunks of `content`; what isn't a PNG comes back as it is, for Pillow to say so."""
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
            found.dropped.append(f"a damaged part of it ({kind.decode()}) was ignored")
    if damaged or comments > _HARMLESS:
        found.content = b"".join(kept)
    return found


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes, bool]]:
    """Name, content, all bytes of each chunk, and whether its checksum is right; the last may be cut off."""
    position = len(_SIGNATURE)
    while position < len(content):
        [length] = struct.unpack(">I", content[position : position + 4].ljust(4, b"\xff"))
        kind = content[position + 4 : position + 8]
        body = content[position + 8 : position + 8 + length]
        whole = content[position : position + 12 + length]
        yield kind, body, whole, whole[-4:] == struct.pack(">I", zlib.crc32(kind + body)) and len(body) == length
        if kind == b"IEND":
            return  # what some programs put behind it is no part of the picture
        position += 12 + length


def transparent_value(png: PngChunks, picture: Image.Image) -> int | tuple[int, int, int] | None:
    """The color of `picture` (mode L or RGB) that its tRNS makes transparent, in the picture's own 8 bits; None for none.

    Pillow leaves a gray of 2 or 4 bits as it stands in the file. Colors of 16 bits lose half of what is compared: see
    :func:`transparent_16`.
    """
    value = png.extras.get(b"tRNS", b"")
    if picture.mode == "L" and png.depth in (2, 4) and len(value) >= 2:
        return int.from_bytes(value[:2], "big") * (255 // (2**png.depth - 1))
    return None


def transparent_16(png: PngChunks) -> Image.Image | None:
    """Alpha (mode L) of a picture of 16-bit colors that has one transparent color; None for all others."""
    value = png.extras.get(b"tRNS", b"")
    if (png.depth, png.color_type) != (16, 2) or len(value) < 6:
        return None
    low_HW3, high_HW3 = (_bytes_of(png.content, order) for order in ("L", "B"))
    wanted_3 = np.frombuffer(value[:6], ">u2")
    equal_HW = ((high_HW3.astype(np.uint16) << 8 | low_HW3) == wanted_3).all(axis=-1)
    return Image.fromarray(np.where(equal_HW, 0, 255).astype(np.uint8))


def _bytes_of(content: bytes, order: str) -> np.ndarray:
    """The high (B) or low (L) bytes of 16-bit colors: Pillow drops the second of two, and takes either order."""
    picture = Image.open(io.BytesIO(content), formats=("PNG",))
    picture.tile = [tile._replace(args=f"RGB;16{order}") for tile in picture.tile]
    return np.asarray(picture)
