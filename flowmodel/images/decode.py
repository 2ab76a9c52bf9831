"""Open a picture file of unknown honesty: SVG, PNG, WebP, JPEG and others in, straight RGBA out, or a short reason why not."""

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

# An icon is small; a larger picture is a mistake or a decompression bomb.
MAX_EDGE = 4096
MAX_BYTES = 16 * 2**20

# By the ending of a file's name.
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
ENDINGS = tuple(_FORMATS)
_RASTER = tuple(sorted(set(_FORMATS.values()) - {"SVG"}))
_GZIP = b"\x1f\x8b"
_LOOKED_AT = 100  # frames of an animation whose first ones are empty
_ORIENTATION = 0x0112  # EXIF tag

# Pillow warns of large pictures, for which our own limit is lower, and of damaged EXIF blocks, which are no reason to lose the
# picture. For good and not around each call, because the warnings module can't do that in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class OpenedPicture:
    """A picture that was decoded, or drawn.

    Attributes:
        png: the same picture, upright, as PNG: the file's own bytes where they are just that.
        width, height: in pixels.
        notes: what was done to it that a person may want to know; empty for nothing.
    """

    png: bytes
    width: int
    height: int
    notes: str


def open_picture(content: bytes, file: str, svg_pixels: int = 256) -> OpenedPicture:
    """Decode `content`, whose format must be the one that the name `file` ends in.

    Rotates as EXIF says, takes the first frame of an animation that shows something, the high byte of 16 bits, converts palettes,
    CMYK and, as their profiles say, the colors of other spaces to sRGB; an SVG's longer edge becomes `svg_pixels`. Raises
    ValueError with a short reason: unknown or wrong extension, empty, too large, truncated or corrupt.
    """
    suffix = PurePosixPath(file.replace("\\", "/")).suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"is no picture by its name; the ending must be one of {', '.join(ENDINGS)}")
    if not content:
        raise ValueError("empty file")
    if len(content) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB")
    if _FORMATS[suffix] == "SVG":
        content = _unpacked(content) if content.startswith(_GZIP) else content
        png, notes = render_svg(content, svg_pixels)
        width, height = Image.open(io.BytesIO(png), formats=("PNG",)).size
        return OpenedPicture(png, width, height, notes)
    picture, notes, own = _decode(content, _FORMATS[suffix])
    return OpenedPicture(own or encode_png(np.asarray(picture)), picture.width, picture.height, notes)


def open_png(png: bytes) -> Image.Image:
    """A PNG of the icons table as Pillow picture of mode RGBA; raises ValueError as :func:`open_picture` does."""
    if not png:
        raise ValueError("empty file")
    return _decode(png, "PNG")[0]


def decode_png(png: bytes) -> NDArray[np.uint8]:
    """Like :func:`open_png`, as straight RGBA, uint8 (H, W, 4)."""
    return np.array(open_png(png))


def _decode(content: bytes, expected: str) -> tuple[Image.Image, str, bytes | None]:
    """Mode RGBA, notes, and the bytes of a PNG that is just this picture, None where there are none."""
    chunks = read_chunks(content)
    content = chunks.content
    try:
        picture: Image.Image = Image.open(io.BytesIO(content), formats=_RASTER)
    except Image.DecompressionBombError:
        raise ValueError(f"larger than {MAX_EDGE} x {MAX_EDGE} pixels") from None
    except UnidentifiedImageError:
        raise ValueError(f"not a {expected} picture") from None
    except Exception as error:  # hostile bytes make Pillow raise many types
        raise ValueError(f"corrupt {expected} ({_first_line(error)})") from None
    # A camera's JPEG with a preview inside is an MPO to Pillow.
    if picture.format != expected and (picture.format, expected) != ("MPO", "JPEG"):
        raise ValueError(f"is a {picture.format} picture, not the {expected} that its name says")
    if max(picture.size) > MAX_EDGE:
        raise ValueError(f"larger than {MAX_EDGE} x {MAX_EDGE} pixels: {picture.width} x {picture.height}")
    notes = chunks.dropped
    try:
        frames = getattr(picture, "n_frames", 1) if expected != "JPEG" else 1
        if frames > 1:
            shown = _first_shown(picture, frames)
            notes.append(
                f"frame {shown + 1} of {frames}, the first that shows something" if shown else f"first of {frames} frames"
            )
        if (alpha := transparent_16(chunks)) is not None:
            picture = picture.convert("RGBA")
            picture.putalpha(alpha)
        turned = picture.getexif().get(_ORIENTATION, 1) != 1
        if turned:
            notes.append("turned upright as its EXIF data says")
            picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):
            picture = _high_byte(picture)
        picture.load()
        if (value := transparent_value(chunks, picture)) is not None:
            picture.info["transparency"] = value
        picture, of_colors = to_srgb(picture, chunks.extras)
        notes += [of_colors] if of_colors else []
        rgba = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        is_plain = expected == "PNG" and frames == 1 and not turned and value is None and alpha is None and not of_colors
        return rgba, join_notes(notes), content if is_plain else None
    except Exception as error:
        raise ValueError(f"corrupt {expected} ({_first_line(error)})") from None


def _first_shown(picture: Image.Image, frames: int) -> int:
    """Number of the first frame that isn't empty, to which `picture` is brought; 0 where all are."""
    for number in range(min(frames, _LOOKED_AT)):
        picture.seek(number)
        if picture.convert("RGBA").getchannel("A").getbbox():
            return number
    picture.seek(0)
    return 0


def _unpacked(content: bytes) -> bytes:
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(content, MAX_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"corrupt gzip ({error})") from None
    if len(unpacked) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB when unpacked")
    return unpacked


def _high_byte(picture: Image.Image) -> Image.Image:
    """16-bit gray as 8 bits, as Pillow does for color: by itself it would clip, and forget which gray is transparent."""
    gray_HW = np.asarray(picture)
    alpha_HW = np.where(gray_HW == picture.info.get("transparency", -1), 0, 255).astype(np.uint8)
    high_HW = (gray_HW >> 8).astype(np.uint8)
    merged = Image.merge("LA", (Image.fromarray(high_HW), Image.fromarray(alpha_HW)))
    merged.info = picture.info
    return merged


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
