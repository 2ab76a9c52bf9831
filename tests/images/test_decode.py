import contextlib
import gzip
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from flowmodel.data.normalize import normalize_image
from flowmodel.images.decode import MAX_BYTES, decode_png, open_image
from flowmodel.images.rgba import encode_png
from tests.data.helpers import RED, plain

FORMATS = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG", ".gif": "GIF"}
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P"),
}
CASES = [(ending, mode) for ending, name in FORMATS.items() for mode in MODES[name]]


def png_of(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def saved(image: Image.Image, ending: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, FORMATS[ending], **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_decodes(mode: str) -> None:
    decoded = decode_png(png_of(Image.new("RGBA", (5, 3), (255, 255, 255, 255)).convert(mode)))
    assert decoded.shape == (3, 5, 4)
    assert (decoded == 255).all()


def test_palette_transparency_is_kept() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    assert decode_png(png_of(image, transparency=1))[0, :, 3].tolist() == [255, 0]


def test_16_bit_gray_keeps_its_high_byte() -> None:
    gray = np.array([[0, 128 << 8, 65535]], np.uint16)
    assert decode_png(png_of(Image.fromarray(gray)))[0, :, 0].tolist() == [0, 128, 255]


def test_16_bit_gray_keeps_its_transparent_gray() -> None:
    header, row = struct.pack(">IIBBBBB", 3, 1, 16, 0, 0, 0, 0), b"\0" + struct.pack(">3H", 0, 0xFFFE, 0xFFFF)
    parts = ((b"IHDR", header), (b"tRNS", struct.pack(">H", 0xFFFF)), (b"IDAT", zlib.compress(row)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    assert decode_png(open_image(png, "x.png").png)[0].tolist() == [[0, 0, 0, 255], [255, 255, 255, 255], [255, 255, 255, 0]]


def bad_images() -> dict[str, tuple[bytes, str]]:
    good = encode_png(np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8))
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    jpeg = io.BytesIO()
    Image.new("RGB", (4, 4)).save(jpeg, "JPEG")
    return {
        "empty": (b"", "empty file"),
        "text": (b"not an image at all", "not a PNG image"),
        "another format": (jpeg.getvalue(), "is a JPEG image, although its name says PNG"),
        "truncated": (good[: len(good) // 2], "corrupt PNG"),
        "only the signature": (good[:8], "PNG"),
        "flipped": (good[:60] + bytes(byte ^ 0xFF for byte in good[60:120]) + good[120:], "corrupt PNG"),
        "bomb": (bomb, "larger than 4096 x 4096"),
        "too large": (encode_png(np.zeros((1, 4097, 4), np.uint8)), "larger than 4096 x 4096 pixels: 4097 x 1"),
    }


@pytest.mark.parametrize("case", bad_images())
def test_bad_bytes_are_a_value_error_with_a_short_reason(case: str) -> None:
    png, reason = bad_images()[case]
    with pytest.raises(ValueError, match=reason) as caught:
        decode_png(png)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_give_anything_but_an_image_or_a_value_error(noise: bytes, position: int) -> None:
    good = encode_png(plain())
    for png in (noise, good[:position] + noise, good[:position] + noise + good[position + len(noise) :]):
        with contextlib.suppress(ValueError):
            assert decode_png(png).shape[-1] == 4


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(CASES),
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(4))),
    st.sampled_from([8, 16, 32]),
    st.booleans(),
)
def test_any_decodable_image_becomes_square_premultiplied_rgba(
    case: tuple[str, str], rgba_HW4: np.ndarray, size: int, trim: bool
) -> None:
    ending, mode = case
    image = Image.fromarray(rgba_HW4)
    image = Image.fromarray(rgba_HW4[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    opened = open_image(saved(image, ending), f"image{ending}")
    assert decode_png(opened.png).shape == rgba_HW4.shape == (opened.height, opened.width, 4)
    with contextlib.suppress(ValueError):  # nothing but transparent pixels
        normal = normalize_image(opened.png, size, trim).premultiplied_NN4
        assert normal.shape == (size, size, 4) and normal.dtype == np.uint8
        assert (normal[..., :3] <= normal[..., 3:]).all()


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
def test_exif_rotation_is_applied_and_noted(ending: str) -> None:
    image = Image.new("RGB", (32, 16), "blue")
    image.paste("red", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    opened = open_image(saved(image, ending, exif=exif), f"x{ending}")
    assert (opened.width, opened.height) == (16, 32)
    assert decode_png(opened.png)[4, 8, 0] > 200 and decode_png(opened.png)[28, 8, 2] > 200
    assert opened.notes == "rotated by its EXIF orientation"


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_an_animation_gives_its_first_frame_and_says_so(ending: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "green")]
    opened = open_image(saved(frames[0], ending, save_all=True, append_images=frames[1:]), f"x{ending}")
    assert decode_png(opened.png)[4, 4, 0] > 240 and decode_png(opened.png)[4, 4, 2] < 16
    assert opened.notes == "first of 3 frames"


def test_a_plain_png_is_kept_byte_for_byte() -> None:
    png = encode_png(plain(), 1)
    assert open_image(png, "x.png").png == png


def test_cmyk_and_16_bit_color_keep_their_colors() -> None:
    cmyk = open_image(saved(Image.new("RGB", (8, 8), RED[:3]).convert("CMYK"), ".jpg", quality=95), "x.jpg")
    assert np.abs(decode_png(cmyk.png)[4, 4].astype(int) - RED).max() <= 4
    row = b"\0" + struct.pack(">4H", 0xDC12, 0x1434, 0x1456, 0x8078) * 2
    header = struct.pack(">IIBBBBB", 2, 1, 16, 6, 0, 0, 0)  # 16 bits a channel, RGBA
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert decode_png(open_image(png, "x.png").png)[0, 0].tolist() == [0xDC, 0x14, 0x14, 0x80]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("x.psd", b"8BPS", "not an image by its file extension, which must be one of .png, .webp"),
        ("x", b"", "not an image by its file extension"),
        ("x.png", b"", "empty file"),
        ("x.webp", encode_png(plain()), "is a PNG image, although its name says WEBP"),
        ("x.jpg", b"\xff\xd8\xff\xe0" + bytes(50), "JPEG"),
        ("x.gif", b"no image", "not a GIF image"),
        (
            "x.gif",
            b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
            "is an SVG image; rename it to end in .svg",
        ),
        ("x.svg", encode_png(plain()), "is a PNG image; rename it to end in .png"),
        ("x.png", b"\n<!DOCTYPE html><html>404</html>", "is a web page"),
        ("x.svg", b"<html><body><svg xmlns='http://www.w3.org/2000/svg'/></body></html>", "is a web page"),
        ("x.webp", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "is a Git LFS pointer"),
        ("x.png", bytes(MAX_BYTES + 1), "larger than 16 MiB"),
    ],
)
def test_what_is_not_what_its_name_says_is_a_value_error(file: str, content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        open_image(content, file)


@pytest.mark.parametrize("start", ["\n", "\n<!-- <html> -->", "<?xml version='1.0'?><!DOCTYPE svg>", "<!-- RIFF -->\n\n"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_drawing_is_one_whatever_stands_before_it(start: str, encoding: str) -> None:
    drawing = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><path d='M0 0h9v9z'/></svg>"
    assert open_image((start + drawing).encode(encoding), "x.svg", 16).width == 16


@pytest.mark.parametrize(
    ("ending", "name"),
    [
        (".bmp", "BMP"),
        (".ico", "ICO"),
        (".icns", "ICNS"),
        (".tif", "TIFF"),
        (".tiff", "TIFF"),
        (".jfif", "JPEG"),
        (".avif", "AVIF"),
    ],
)
def test_more_of_pillows_formats_are_read(ending: str, name: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(plain((20, 160, 60, 255), 32, 32)).convert("RGB" if name in ("BMP", "JPEG") else "RGBA").save(buffer, name)
    opened = open_image(buffer.getvalue(), f"leaf{ending}")
    assert np.abs(decode_png(opened.png)[16, 16].astype(int) - (20, 160, 60, 255)).max() <= 8
    with pytest.raises(ValueError, match=f"is a {name} image, although its name says GIF"):
        open_image(buffer.getvalue(), "leaf.gif")


def test_packed_svg_is_unpacked_within_limits() -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><rect width="1" height="1" fill="#14a03c"/></svg>'
    for name in ("leaf.svgz", "leaf.svg"):
        assert decode_png(open_image(gzip.compress(svg), name, 8).png)[4, 4].tolist() == [20, 160, 60, 255]
    with pytest.raises(ValueError, match="larger than 16 MiB when unpacked"):
        open_image(gzip.compress(bytes(MAX_BYTES + 1)), "bomb.svgz")
    with pytest.raises(ValueError, match="corrupt gzip"):
        open_image(b"\x1f\x8bnothing", "leaf.svgz")


def test_an_animation_that_begins_empty_is_its_first_frame_that_shows_something() -> None:
    empty, leaf, other = (Image.fromarray(plain(color)) for color in ((0, 0, 0, 0), (20, 160, 60, 255), (200, 0, 0, 255)))
    buffer = io.BytesIO()
    empty.save(buffer, "GIF", save_all=True, append_images=[leaf, other], disposal=2)
    opened = open_image(buffer.getvalue(), "leaf.gif")
    assert decode_png(opened.png)[4, 4].tolist() == [20, 160, 60, 255]
    assert opened.notes == "frame 2 of 3, the first that is not empty"
