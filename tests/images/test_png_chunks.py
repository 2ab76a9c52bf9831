import struct
import zlib

import pytest

from flowmodel.images.decode import decode_png, open_image
from tests.images.profiles import chunk, damaged, of_color, png

COLOR = [200, 60, 90, 255]


def pixel(content: bytes) -> list[int]:
    """The color in the middle, after the icons table."""
    return decode_png(open_image(content, "x.png").png)[4, 4].tolist()


@pytest.mark.parametrize(
    ("depth", "row", "value"), [(1, b"\xff", 1), (2, b"\xaa\xaa", 2), (4, b"\x99" * 4, 9), (8, b"\x99" * 8, 0x99)]
)
def test_the_transparent_gray_is_transparent_at_every_depth(depth: int, row: bytes, value: int) -> None:
    def with_transparent(gray: int) -> bytes:
        return png(depth, 0, row, chunk(b"tRNS", struct.pack(">H", gray)))

    assert pixel(with_transparent(value))[3] == 0
    assert pixel(with_transparent(0)) == [255 * value // (2**depth - 1)] * 3 + [255]


def test_the_transparent_color_of_16_bits_is_compared_with_all_of_them() -> None:
    row = struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0x1234, 0x5678, 0x9ABD) * 4
    image = png(16, 2, row, chunk(b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)))
    alpha = decode_png(open_image(image, "x.png").png)[0, :, 3]
    assert alpha.tolist() == [0, 255] * 4
    assert pixel(image)[:3] == [0x12, 0x56, 0x9A]


@pytest.mark.parametrize(
    "comment",
    [
        chunk(b"tEXt", b"Comment\0" + b"x" * 2_000_000),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 20_000_000)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"x" * 2_000_000)),
        damaged(chunk(b"tEXt", b"Comment\0hello")),
        damaged(chunk(b"tIME", bytes(7))),
        chunk(b"prVW", b"of some program"),
    ],
    ids=["long", "bomb", "long, international", "damaged", "damaged time", "unknown"],
)
def test_no_comment_costs_the_image(comment: bytes) -> None:
    opened = open_image(of_color(*COLOR[:3], extras=(comment,)), "x.png")
    assert decode_png(opened.png)[4, 4].tolist() == COLOR
    assert opened.notes == ""
    assert len(opened.png) < 100_000


def test_a_damaged_part_that_colors_depend_on_is_ignored_and_noted() -> None:
    opened = open_image(of_color(*COLOR[:3], extras=(damaged(chunk(b"gAMA", struct.pack(">I", 100_000))),)), "x.png")
    assert decode_png(opened.png)[4, 4].tolist() == COLOR
    assert opened.notes == "its damaged gAMA chunk was ignored"


def test_a_damaged_image_is_still_a_reason() -> None:
    good = of_color(*COLOR[:3])
    start = good.index(b"IDAT") + 6
    with pytest.raises(ValueError, match="corrupt PNG"):
        open_image(good[:start] + bytes([good[start] ^ 0xFF]) + good[start + 1 :], "x.png")
