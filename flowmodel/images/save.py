"""Images as files."""

import io
import re
import unicodedata
from pathlib import Path

from PIL import Image

from flowmodel.files import sha256_bytes, write_bytes

_MOST_BYTES = 100  # for the words of a name; most file systems allow 255 bytes in total
_DIGEST_LENGTH = 10
_ENDS_LIKE_A_DIGEST = re.compile(rf"(^|[-_])[0-9a-f]{{{_DIGEST_LENGTH}}}$")
_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f]")


def save_image(image: Image.Image, path: Path) -> Path:
    """Write `image` as a PNG atomically; missing folders are created."""
    return write_bytes(path, png_bytes(image))


def png_bytes(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def file_stem(prompt: str) -> str:
    """The file name for images of a prompt, without number and extension: its words, in letters and digits of any script.

    `red heart, noto style` is `red-heart_noto-style`. If the name does not determine the prompt (capitals, other characters, a
    Unicode normalization that some file systems change, more than 100 bytes), a digest of the prompt follows. A prompt
    therefore always has the same name, and two prompts never share one, even on file systems that ignore case or Unicode
    normalization.
    """
    words = _words(unicodedata.normalize("NFC", prompt).lower())
    stem = words.encode()[:_MOST_BYTES].decode(errors="ignore")
    is_told_by_words = stem.replace("_", ", ").replace("-", " ") == prompt == _folded(prompt)
    if stem and is_told_by_words and not _ENDS_LIKE_A_DIGEST.search(stem):
        return stem
    digest = sha256_bytes(prompt.encode(errors="surrogatepass"))[:_DIGEST_LENGTH]
    return f"{stem.strip('-_') or 'image'}-{digest}"


def _words(text: str) -> str:
    """Join words by `-` and comma-separated parts by `_`. A combining mark is kept after a letter or digit."""
    kept = ""
    for char in text:
        category = unicodedata.category(char)
        is_accent = category in ("Mn", "Mc") and not _VARIATION_SELECTORS.match(char) and kept[-1:] not in ("", " ", ",")
        kept += char if category[0] in "LN" or is_accent else "," if char == "," else " "
    return "_".join(filter(None, ("-".join(clause.split()) for clause in kept.split(","))))


def _folded(text: str) -> str:
    """Equal for all texts that some file system treats as the same name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).upper().casefold())
