"""Pictures as files."""

import io
import re
import unicodedata
from pathlib import Path

from PIL import Image

from flowmodel.files import write_bytes


def save_image(image: Image.Image, path: Path) -> Path:
    """Write `image` as a PNG, whole or not at all; folders are made where they are missing."""
    return write_bytes(path, png_bytes(image))


def png_bytes(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def slug(text: str) -> str:
    """`text` as part of a file name: lower-case ASCII letters and digits joined by hyphens, at most 60 of them."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:60] or "picture"
