"""Decodes untrusted image files (SVG, PNG, WebP, JPEG and others) to straight RGBA, or gives a short reason why not."""

import io
import warnings
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from flowmodel.images.color_profile import to_srgb
from flowmodel.images.notes import join_notes
from flowmodel.images.png_chunks import read_chunks, transparent_16, transparent_value
from flowmodel.images.rgba import encode_png
from flowmodel.images.svg.render import render_svg

# Icons are small; a larger image is a mistake or a decompression bomb.
MAX_EDGE = 4096
MAX_BYTES = 16 * 2**20

# Formats by file extension.
_FORMATS = {
    ".png": "PNG",
    ".webp": "WEBP",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".gif": "GIF",
    ".svg": "SVG",
    ".svgz": "SVG",
    ".avif": "AVIF",
    ".apng": "PNG",
    ".jfif": "JPEG",
    ".jpe": "JPEG",
    ".bmp": "BMP",
    ".ico": "ICO",
    ".icns": "ICNS",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
EXTENSIONS = tuple(_FORMATS)
_RASTER = tuple(sorted(set(_FORMATS.values()) - {"SVG"}))
_GZIP = b"\x1f\x8b"
_MARKS = {b"\x89PNG\r\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"RIFF": "WEBP"}
_LOOKED_AT = 100  # frames of an animation to search for a non-empty one
_ORIENTATION = 0x0112  # EXIF tag

# Pillow warns about large images, for which our limit is lower, and about damaged EXIF blocks, which do not matter. The filter is
# global because the warnings module's context manager is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class OpenedImage:
    """A decoded or rendered image.

    Attributes:
        png: the upright image as PNG; the file's own bytes if they are exactly that.
        width, height: in pixels.
        notes: changes that a user may want to know about; empty if there are none.
    """

    png: bytes
    width: int
    height: int
    notes: str


def open_image(content: bytes, file: str, svg_pixels: int = 256) -> OpenedImage:
    """Decode `content`, whose format must match the extension of `file`.

    Applies the EXIF orientation, takes the first non-empty frame of an animation and the high byte of 16-bit samples, and
    converts palettes, CMYK and other color spaces to sRGB. An SVG's longer edge becomes `svg_pixels`. Raises ValueError with a
    short reason: unknown or wrong extension, empty, too large, truncated or corrupt.
    """
    suffix = PurePosixPath(file.replace("\\", "/")).suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"not an image by its file extension, which must be one of {', '.join(EXTENSIONS)}")
    if not content:
        raise ValueError("empty file")
    if len(content) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB")
    if _FORMATS[suffix] == "SVG":
        content = _unpacked(content) if content.startswith(_GZIP) else content
        if reason := _what_it_is(content, "SVG"):
            raise ValueError(reason)
        png, notes = render_svg(content, svg_pixels)
        width, height = Image.open(io.BytesIO(png), formats=("PNG",)).size
        return OpenedImage(png, width, height, notes)
    image, notes, own = _decode(content, _FORMATS[suffix])
    return OpenedImage(own or encode_png(np.asarray(image)), image.width, image.height, notes)


def open_png(png: bytes) -> Image.Image:
    """Open a PNG of the icons table as a Pillow image in mode RGBA; raises ValueError as :func:`open_image` does."""
    if not png:
        raise ValueError("empty file")
    return _decode(png, "PNG")[0]


def decode_png(png: bytes) -> NDArray[np.uint8]:
    """Like :func:`open_png`, as straight RGBA, uint8 (H, W, 4)."""
    return np.array(open_png(png))


def _decode(content: bytes, expected: str) -> tuple[Image.Image, str, bytes | None]:
    """The image in mode RGBA, notes, and the bytes of a PNG with exactly this image, or None."""
    chunks = read_chunks(content)
    content = chunks.content
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=_RASTER)
    except Image.DecompressionBombError:
        raise ValueError(f"larger than {MAX_EDGE} x {MAX_EDGE} pixels") from None
    except UnidentifiedImageError:
        raise ValueError(_what_it_is(content, expected) or f"not a {expected} image") from None
    except Exception as error:  # malformed bytes make Pillow raise many exception types
        raise ValueError(f"corrupt {expected} ({_first_line(error)})") from None
    # Pillow reports a camera's JPEG with an embedded preview as MPO.
    if image.format != expected and (image.format, expected) != ("MPO", "JPEG"):
        raise ValueError(f"is a {image.format} image, although its name says {expected}")
    if max(image.size) > MAX_EDGE:
        raise ValueError(f"larger than {MAX_EDGE} x {MAX_EDGE} pixels: {image.width} x {image.height}")
    notes = chunks.dropped
    try:
        frames = getattr(image, "n_frames", 1) if expected != "JPEG" else 1
        if frames > 1:
            shown = _first_shown(image, frames)
            notes.append(f"frame {shown + 1} of {frames}, the first that is not empty" if shown else f"first of {frames} frames")
        if (alpha := transparent_16(chunks)) is not None:
            image = image.convert("RGBA")
            image.putalpha(alpha)
        turned = image.getexif().get(_ORIENTATION, 1) != 1
        if turned:
            notes.append("rotated by its EXIF orientation")
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            image = _high_byte(image)
        image.load()
        if (value := transparent_value(chunks, image)) is not None:
            image.info["transparency"] = value
        image, of_colors = to_srgb(image, chunks.extras)
        notes += [of_colors] if of_colors else []
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        is_plain = expected == "PNG" and frames == 1 and not turned and value is None and alpha is None and not of_colors
        return rgba, join_notes(notes), content if is_plain else None
    except Exception as error:
        raise ValueError(f"corrupt {expected} ({_first_line(error)})") from None


def _first_shown(image: Image.Image, frames: int) -> int:
    """Seek `image` to its first non-empty frame and return its index; 0 if all are empty."""
    for number in range(min(frames, _LOOKED_AT)):
        image.seek(number)
        if image.convert("RGBA").getchannel("A").getbbox():
            return number
    image.seek(0)
    return 0


def _what_it_is(content: bytes, expected: str) -> str:
    """A reason for what people often have in place of an image of the `expected` format; empty for anything else."""
    start = content[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the image; run 'git lfs pull'"
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not an image; download the image again"
    if expected != "SVG" and (start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start)):
        return "is an SVG image; rename it to end in .svg"
    # Of other formats Pillow tells which it is.
    kind = next((kind for mark, kind in _MARKS.items() if expected == "SVG" and content.startswith(mark)), "")
    return f"is a {kind} image; rename it to end in .{kind.lower()}" if kind else ""


def _unpacked(content: bytes) -> bytes:
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(content, MAX_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"corrupt gzip ({error})") from None
    if len(unpacked) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB when unpacked")
    return unpacked


def _high_byte(image: Image.Image) -> Image.Image:
    """Convert 16-bit gray to 8 bits, as Pillow does for color. Pillow's own conversion clips and loses the transparent gray."""
    gray_HW = np.asarray(image)
    alpha_HW = np.where(gray_HW == image.info.get("transparency", -1), 0, 255).astype(np.uint8)
    high_HW = (gray_HW >> 8).astype(np.uint8)
    merged = Image.merge("LA", (Image.fromarray(high_HW), Image.fromarray(alpha_HW)))
    merged.info = image.info
    return merged


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
