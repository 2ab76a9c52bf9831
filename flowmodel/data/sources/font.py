"""Source kind `font`: the emoji of a color bitmap font on this machine, Apple Color Emoji or Noto Color Emoji for example."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uharfbuzz as hb

from flowmodel.data.keys import skin_tone
from flowmodel.data.sources.config import FontSource, locate
from flowmodel.data.sources.context import Observation, Reading, SourceContext
from flowmodel.data.sources.font_strikes import ColorFont, damage_told, font_version, open_color_font, unpacked
from flowmodel.data.sources.rows import icon_row
from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.text.emoji_texts import Emoji, unicode_emoji

USUAL_PLACES = (
    "/System/Library/Fonts/Apple Color Emoji.ttc",
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/google-noto-emoji/NotoColorEmoji.ttf",
    "/usr/share/fonts/google-noto-color-emoji-fonts/NotoColorEmoji.ttf",
    "/usr/local/share/fonts/NotoColorEmoji.ttf",
    "~/Library/Fonts/NotoColorEmoji.ttf",
    "~/.local/share/fonts/NotoColorEmoji.ttf",
    "~/.fonts/NotoColorEmoji.ttf",
)

_VARIATION_SELECTOR = "\ufe0f"
_NO_COUNTRY = "\U0001f1ff\U0001f1ff"  # ZZ, "unknown region" in CLDR: Noto draws a question mark for such flags
_END_OF_TAGS = "\U000e007f"
_NO_GLYPH = ""  # in a damaged font, for a number beyond its glyphs
_APPLE = "proprietary (Apple)"
_OPEN_LICENSES = {  # by words in the license's text or address
    "open font license": "OFL-1.1",
    "openfontlicense.org": "OFL-1.1",
    "scripts.sil.org/ofl": "OFL-1.1",
    "apache license": "Apache-2.0",
    "apache.org/licenses/license-2.0": "Apache-2.0",
}


def read(config: FontSource, context: SourceContext) -> Reading:
    """A row for each Unicode emoji that the font renders as one image, from its largest strike.

    Sequences (flags, families, skin tones, keycaps) are shaped by HarfBuzz, as in a text renderer, with the font's own
    tables: GSUB ligatures, or Apple's morx. A sequence that stays several glyphs is not in the font. The images are marked as
        redistributable if the font has an open license, which Apple's does not have. Raises FlowmodelError when there is no
        font, it is damaged, or it has no color bitmaps.
    """
    font = open_color_font(_locate(config, context))
    context.log(f"{font.family}, {font.version or 'no version'}: strike of {font.ppem} pixels per em")
    wanted = {key: emoji for key, emoji in unicode_emoji().items() if config.skin_tones or not skin_tone(key)}
    with damage_told(font.path):
        rows = [_row(config, font, key, wanted[key], glyph) for key, glyph in _glyphs(font, wanted)]
    context.log(f"{len(rows):,} of Unicode's {len(wanted):,} emoji are in the font")
    return Reading(rows)


def observe(config: FontSource, context: SourceContext) -> Observation:
    """Path and content of the file; raises FlowmodelError when it is missing or not a font."""
    path = _locate(config, context)
    version = font_version(path)
    return Observation([str(path), sha256_file(path)], version or f"{path.stat().st_size:,} bytes")


def _locate(config: FontSource, context: SourceContext) -> Path:
    if config.path:
        return locate(config.path, context.root)
    for place in USUAL_PLACES:
        if (path := Path(place).expanduser()).is_file():
            return path
    raise FlowmodelError(
        f"source '{config.name}': no color emoji font in the usual places ({USUAL_PLACES[0]}, {USUAL_PLACES[1]}, ...); "
        "install one (Debian: apt-get install fonts-noto-color-emoji), or set its path in sources.yaml"
    )


def _glyphs(font: ColorFont, wanted: dict[str, Emoji]) -> Iterator[tuple[str, str]]:
    """Key and glyph name of each emoji that becomes one glyph with a bitmap."""
    shaper = hb.Font(hb.Face(_blob(font), font.index))
    unknown_flag = _shape(shaper, font.glyph_names, _NO_COUNTRY)
    for key, emoji in wanted.items():
        # Tags have no glyph of their own: in a font without Scotland's flag, its sequence becomes a plain black flag.
        others = [unknown_flag, _shape(shaper, font.glyph_names, emoji.char[0])] if _END_OF_TAGS in emoji.char else [unknown_flag]
        # Fonts differ in whether they expect the selector inside a sequence.
        for text in (emoji.char, emoji.char.replace(_VARIATION_SELECTOR, "")):
            glyphs = _shape(shaper, font.glyph_names, text)
            if len(glyphs) == 1 and glyphs not in others and font.has_image(glyphs[0]):
                yield key, glyphs[0]
                break


def _blob(font: ColorFont) -> hb.Blob:
    content = unpacked(font)
    return hb.Blob.from_file_path(str(font.path)) if content is None else hb.Blob(content)


def _shape(shaper: hb.Font, names: tuple[str, ...], text: str) -> list[str]:
    buffer = hb.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    buffer.flags = hb.BufferFlags.REMOVE_DEFAULT_IGNORABLES  # selectors and joiners that the font does not use
    hb.shape(shaper, buffer)
    glyphs = [info.codepoint for info in buffer.glyph_infos]
    return [names[glyph] if glyph < len(names) else _NO_GLYPH for glyph in glyphs]


def _row(config: FontSource, font: ColorFont, key: str, emoji: Emoji, glyph: str) -> dict[str, Any]:
    content: bytes | ValueError
    try:
        content, extension = font.image(glyph)
    except ValueError as error:
        content, extension = error, ".png"
    apple = "apple" in f"{font.family} {font.manufacturer} {font.copyright}".lower()
    open_license = "" if apple else next((name for words, name in _OPEN_LICENSES.items() if words in font.license.lower()), "")
    return icon_row(
        config,
        key=key,
        char=emoji.char,
        name=emoji.name,
        keywords=emoji.keywords,
        group=emoji.group,
        subgroup=emoji.subgroup,
        file=f"{glyph}{extension}",
        content=content,
        license=_APPLE if apple else open_license or font.license,
        origin=f"{font.family} {font.version}".strip(),
        redistributable=bool(open_license),
    )
