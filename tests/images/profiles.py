"""PNGs and ICC profiles made byte by byte, for features that no library writes."""

import struct
import zlib

import numpy as np

P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)  # x and y of white, red, green, blue
SIGNATURE = b"\x89PNG\r\n\x1a\n"
# From linear Display P3 to XYZ with the white of D50, as ICC profiles have it (CSS Color 4).
_P3_D50 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def damaged(whole: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return whole[:-1] + bytes([whole[-1] ^ 1])


def png(depth: int, color_type: int, row: bytes, *extras: bytes, edge: int = 8) -> bytes:
    """An image of `edge` x `edge` pixels, all rows the same."""
    header = struct.pack(">IIBBBBB", edge, edge, depth, color_type, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * edge)
    return SIGNATURE + chunk(b"IHDR", header) + b"".join(extras) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def of_color(*rgb: int, extras: tuple[bytes, ...] = ()) -> bytes:
    return png(8, 2, bytes(rgb) * 8, *extras)


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def primaries(points: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in points)))


def embedded(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))


def profile(exponent: float, space: bytes = b"RGB ") -> bytes:
    """An ICC profile of Display P3's primaries, or of gray, with a power function as its curve."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65_536))

    def point(xyz: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(number(value) for value in xyz)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))
    white = np.array([0.9642, 1.0, 0.8249])
    description = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = [(b"desc", description), (b"wtpt", point(white)), (b"cprt", b"text\0\0\0\0none\0")]
    if space == b"RGB ":
        tags += [(b"rgb"[i : i + 1] + b"XYZ", point(_P3_D50[:, i])) for i in range(3)]
        tags += [(letter + b"TRC", curve) for letter in (b"r", b"g", b"b")]
    else:
        tags.append((b"kTRC", curve))
    start, index, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags:
        content += bytes(-len(content) % 4)
        index += name + struct.pack(">II", start + len(data), len(content))
        data += content
    head = struct.pack(">I4sI4s4s4s", start + len(data), bytes(4), 0x02100000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(number(value) for value in white)
    return head.ljust(128, b"\0") + index + data
