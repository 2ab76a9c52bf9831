"""Icon keys: lower-case hexcodes joined by `-` without `fe0f`, or a slug where there is no code point."""

import re
import unicodedata

SKIN_TONES = {"1f3fb": "light", "1f3fc": "medium-light", "1f3fd": "medium", "1f3fe": "medium-dark", "1f3ff": "dark"}

_HEXCODE = re.compile(r"(?:emoji_u|u\+?)?([0-9a-f]{4,6}(?:[-_][0-9a-f]{4,6})*)")
_VARIATION_SELECTOR = "fe0f"


def normalise_hexcode(hexcode: str) -> str:
    """`1F469-200D-2764-FE0F` to `1f469-200d-2764`."""
    return "-".join(part for part in re.split(r"[-_]", hexcode.lower()) if part != _VARIATION_SELECTOR)


def parse_hexcode(stem: str) -> tuple[str, str] | None:
    """Key and character of a file stem like `1f600`, `u1f600` or `emoji_u1f469_200d_1f680`; None where it isn't one.

    Words and numbers can look like hexadecimal ("face", "2024"): only what begins with a symbol counts, and keycaps.
    """
    match = _HEXCODE.fullmatch(stem.lower())
    if match is None:
        return None
    points = [int(part, 16) for part in re.split(r"[-_]", match[1])]
    if max(points) > 0x10FFFF or any(0xD800 <= point <= 0xDFFF for point in points):
        return None
    char = "".join(map(chr, points))
    if not _is_symbol(points[0]) and points[-1] != 0x20E3:
        return None
    return normalise_hexcode(match[1]), char


def _is_symbol(point: int) -> bool:
    # The range because Python's Unicode tables may be older than the newest emoji.
    return unicodedata.category(chr(point)) in ("So", "Sm", "Sk") or 0x1F000 <= point <= 0x1FAFF


def slug(text: str) -> str:
    """`Big Red Café.v2` to `big-red-cafe-v2`; empty where nothing is left."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_]+", "-", ascii_text.lower()).strip("-_")


def base_key(key: str) -> str:
    """`key` without skin tones: what all its variants have in common. A tone on its own (a swatch) is its own base."""
    return "-".join(part for part in key.split("-") if part not in SKIN_TONES) or key


def skin_tone(key: str) -> str:
    """`light` … `dark`, several joined by `+`; empty for none."""
    return "" if key in SKIN_TONES else "+".join(SKIN_TONES[part] for part in key.split("-") if part in SKIN_TONES)
