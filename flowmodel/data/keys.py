"""Icon keys: lowercase hexcodes joined by `-` without `fe0f`, or a slug if there is no code point."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from flowmodel.files import sha256_bytes

SKIN_TONES = {"1f3fb": "light", "1f3fc": "medium-light", "1f3fd": "medium", "1f3fe": "medium-dark", "1f3ff": "dark"}

_PREFIX = "(?:emoji_u|u\\+?)"
# Twemoji's file names omit leading zeros: `a9` is the copyright sign, `23-20e3` the keycap.
_HEXCODE = re.compile(rf"({_PREFIX})?([0-9a-f]{{2,6}}(?:[-_][0-9a-f]{{2,6}})*)")
_SHORT = ("a9", "ae")
_VARIATION_SELECTOR = "fe0f"
_KEYCAP = 0x20E3


def normalize_hexcode(hexcode: str) -> str:
    """Convert `1F469-200D-2764-FE0F` to `1f469-200d-2764`."""
    return "-".join(part for part in re.split(r"[-_]", hexcode.lower()) if part != _VARIATION_SELECTOR)


def parse_hexcode(stem: str) -> tuple[str, str] | None:
    """Key and character of a file stem like `1f600`, `u1f600` or `emoji_u1f469_200d_1f680`; None if it isn't one.

    Words and numbers can look like hexadecimal ("face", "2024"), so only stems that begin with a symbol count, and keycaps. A
    number may still be an ordinary number; see :func:`code_point_stems`.
    """
    match = _HEXCODE.fullmatch(stem.lower())
    if match is None:
        return None
    parts = re.split(r"[-_]", match[2])
    points = [int(part, 16) for part in parts]
    is_keycap = points[-1] == _KEYCAP and len(points) > 1
    if any(len(part) < 4 for part in parts) and not is_keycap and match[2] not in _SHORT:
        return None
    if max(points) > 0x10FFFF or any(0xD800 <= point <= 0xDFFF for point in points):
        return None
    if not _is_symbol(points[0]) and not is_keycap:
        return None
    return normalize_hexcode("-".join(part.zfill(4) for part in parts)), "".join(map(chr, points))


def code_point_stems(stems: Collection[str]) -> set[str]:
    """The stems of one source's files that are code points.

    `1f600`, `u2764`, `emoji_u2764` and `23-20e3` are unambiguous. A four-digit number such as `2702` may be an item number. It
    is a code point only if all files of the source are named by code points and at least one of them is unambiguous.
    """
    found = {stem for stem in stems if parse_hexcode(stem)}
    certain = {stem for stem in found if _is_certain(stem)}
    return found if certain and len(found) == len(set(stems)) else certain


def _is_certain(stem: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{2,4}", stem.lower()) is None


def _is_symbol(point: int) -> bool:
    # The range covers emoji that are newer than Python's Unicode tables.
    return unicodedata.category(chr(point)) in ("So", "Sm", "Sk") or 0x1F000 <= point <= 0x1FAFF


def slug(text: str) -> str:
    """`Big Red Café.v2` to `big-red-café-v2`: letters, digits and marks of every script; empty if nothing is left."""
    kept = ""
    for char in unicodedata.normalize("NFC", text.lower()):
        category = unicodedata.category(char)
        is_mark = category in ("Mn", "Mc") and kept[-1:] not in ("", "-", "_") and not 0xFE00 <= ord(char) <= 0xFE0F
        kept += char if category[0] in "LN" or is_mark or char == "_" else "-"
    return re.sub("-+", "-", kept).strip("-_")


def ascii_slug(text: str) -> str:
    """`flag: Åland Islands` to `flag-aland-islands`, as icon sets name their files."""
    return slug(unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode())


def distinct_keys(files: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """A unique key for each of `files` (paths with `/`), in order; no key is in `taken`.

    The key is the path without extension (`icon-2702` for a number that would be an emoji's key), so that a file of the same name
    that is added to another folder doesn't change it. If several files share it, the key is the path with extension, and finally
    the stem with a digest of the path. The order of files doesn't matter.
    """
    paths = [PurePosixPath(file) for file in files]
    ways = (
        [_word(str(path.with_suffix(""))) if path.name else "" for path in paths],
        [_word(str(path)) for path in paths],
        [
            f"{_word(path.stem) or 'icon'}-{sha256_bytes(file.encode(errors='surrogatepass'))[:12]}"
            for path, file in zip(paths, files, strict=True)
        ],
    )
    keys: dict[int, str] = {}
    for wanted in ways:
        count = Counter(wanted[i] for i in range(len(files)) if i not in keys)
        others = {*taken, *keys.values()}
        keys |= {i: key for i, key in enumerate(wanted) if i not in keys and key and count[key] == 1 and key not in others}
    return [keys[i] for i in range(len(files))]


def _word(text: str) -> str:
    found = slug(text)
    return found if parse_hexcode(found) is None else f"icon-{found}"


def base_key(key: str) -> str:
    """`key` without skin tones, which all its variants share. A tone on its own (a swatch) is its own base."""
    return "-".join(part for part in key.split("-") if part not in SKIN_TONES) or key


def skin_tone(key: str) -> str:
    """The skin tones of a key, from `light` to `dark`, joined by `+`; empty if there are none."""
    return "" if key in SKIN_TONES else "+".join(SKIN_TONES[part] for part in key.split("-") if part in SKIN_TONES)
