"""Small real fonts with color bitmaps: sbix in a collection, as Apple's, and CBDT, as Noto's."""

import io
from collections.abc import Mapping
from pathlib import Path

from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection, TTFont, newTable
from fontTools.ttLib.tables.BitmapGlyphMetrics import SmallGlyphMetrics
from fontTools.ttLib.tables.C_B_D_T_ import cbdt_bitmap_format_17
from fontTools.ttLib.tables.E_B_L_C_ import BitmapSizeTable, SbitLineMetrics, Strike, eblc_index_sub_table_1
from fontTools.ttLib.tables.sbixGlyph import Glyph
from fontTools.ttLib.tables.sbixStrike import Strike as SbixStrike
from PIL import Image

# Glyph by code point, and ligatures: a face, a waving hand and one skin tone, a family, France, keycap 1, a runner facing right.
# There is a black flag, but none of those whose sequences begin with it.
CMAP = {
    0x31: "one", 0x1F600: "face", 0x1F44B: "hand", 0x1F3FD: "tone", 0x1F468: "man", 0x1F469: "woman", 0x1F466: "boy",
    0x200D: "joiner", 0xFE0F: "selector", 0x20E3: "enclose", 0x1F1EB: "F", 0x1F1F7: "R", 0x1F431: "cat", 0x1F436: "dog",
    0x1F3C3: "runner", 0x27A1: "arrow", 0x1F3F4: "black_flag",
}  # fmt: skip
LIGATURES = {
    "hand_tone": "hand tone",
    "family": "man joiner woman joiner boy",
    "france": "F R",
    "keycap": "one selector enclose",
    "runner_right": "runner joiner arrow",
}
GLYPHS = [".notdef", *CMAP.values(), *LIGATURES]
DRAWN = ["face", "hand", "man", "woman", "boy", "runner", "black_flag", *LIGATURES]


def color_of(glyph: str) -> tuple[int, int, int]:
    """Each glyph is a square of its own color; the runner's right half is black."""
    number = GLYPHS.index(glyph)
    return 40 + 9 * number, 255 - 9 * number, 90


def glyph_image(glyph: str, edge: int) -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGB", (edge, edge), color_of(glyph))
    if glyph == "runner":
        image.paste((0, 0, 0), (edge // 2, 0, edge, edge))
    image.save(buffer, "PNG")
    return buffer.getvalue()


def plain_font(family: str, **names: str) -> FontBuilder:
    rules = "".join(f"sub {parts} by {glyph};" for glyph, parts in LIGATURES.items())
    return built_font(family, GLYPHS, CMAP, rules, **names)


def built_font(family: str, glyphs: list[str], cmap: Mapping[int, str], rules: str, **names: str) -> FontBuilder:
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap(cmap)
    builder.setupGlyf({glyph: TTGlyphPen(None).glyph() for glyph in glyphs})
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular", "version": "Version 1.5", **names})
    builder.setupOS2()
    builder.setupPost()
    addOpenTypeFeaturesFromString(builder.font, f"feature ccmp {{ {rules} }} ccmp;")
    return builder


def write_sbix_collection(path: Path, family: str = "Apple Color Emoji") -> Path:
    """Two faces, of which the second has bitmaps of 20 and 40 pixels; cat is a duplicate of face, runner_right
    a mirrored runner, dog has Apple's own format."""
    color = plain_font(family, manufacturer="Apple Inc.").font
    table = newTable("sbix")
    table.version, table.flags, table.strikes = 1, 1, {}
    for ppem in (20, 40):
        strike = SbixStrike(ppem=ppem, resolution=72)
        for glyph in GLYPHS:
            strike.glyphs[glyph] = Glyph(glyphName=glyph)
        for glyph in DRAWN:
            strike.glyphs[glyph] = Glyph(glyphName=glyph, graphicType="png ", imageData=glyph_image(glyph, ppem))
        strike.glyphs["cat"] = Glyph(glyphName="cat", graphicType="dupe", referenceGlyphName="face")
        strike.glyphs["runner_right"] = Glyph(glyphName="runner_right", graphicType="flip", referenceGlyphName="runner")
        strike.glyphs["dog"] = Glyph(glyphName="dog", graphicType="emjc", imageData=b"emj1 and then some")
        table.strikes[ppem] = strike
    color["sbix"] = table
    collection = TTCollection()
    collection.fonts = [plain_font("Plain").font, color]
    collection.save(path)
    return path


def write_whole_collection(path: Path, images: Mapping[str, bytes], ppem: int) -> Path:
    """A face without bitmaps and one with a PNG for each character or sequence, formed by ligatures."""
    parts = {text: [f"u{ord(char):x}" for char in text] for text in images}
    names = {text: chars[0] if len(chars) == 1 else "_".join(chars) for text, chars in parts.items()}
    cmap = {ord(char): f"u{ord(char):x}" for text in images for char in text}
    glyphs = list(dict.fromkeys([".notdef", *cmap.values(), *names.values()]))
    # Longest first: a family must not end as a couple with a child beside it.
    sequences = sorted((text for text in images if len(text) > 1), key=len, reverse=True)
    rules = "".join(f"sub {' '.join(parts[text])} by {names[text]};" for text in sequences)
    color = built_font("Apple Color Emoji", glyphs, cmap, rules, manufacturer="Apple Inc.").font
    strike = SbixStrike(ppem=ppem, resolution=72)
    strike.glyphs = {glyph: Glyph(glyphName=glyph) for glyph in glyphs}
    for text, content in images.items():
        strike.glyphs[names[text]] = Glyph(glyphName=names[text], graphicType="png ", imageData=content)
    table = color["sbix"] = newTable("sbix")
    table.version, table.flags, table.strikes = 1, 1, {ppem: strike}
    collection = TTCollection()
    collection.fonts = [plain_font("Plain").font, color]
    collection.save(path)
    return path


def write_cbdt(path: Path, edge: int = 24, license: str = "SIL Open Font License, Version 1.1") -> Path:
    font: TTFont = plain_font("Tiny Color", licenseDescription=license).font
    data = {}
    for glyph in DRAWN:
        bitmap = cbdt_bitmap_format_17(b"", font)
        bitmap.metrics = SmallGlyphMetrics()
        bitmap.metrics.height = bitmap.metrics.width = bitmap.metrics.Advance = edge
        bitmap.metrics.BearingX, bitmap.metrics.BearingY = 0, edge
        bitmap.imageData = glyph_image(glyph, edge)
        data[glyph] = bitmap
    font["CBDT"] = newTable("CBDT")
    font["CBDT"].version, font["CBDT"].strikeData = 3.0, [data]
    strike = Strike()
    strike.bitmapSizeTable = size = BitmapSizeTable()
    size.ppemX = size.ppemY = edge
    size.colorRef, size.bitDepth, size.flags = 0, 32, 1
    for direction in ("hori", "vert"):
        metrics = SbitLineMetrics()
        for field in SbitLineMetrics.__dict__.get("fields", ()) or (
            "ascender", "descender", "widthMax", "caretSlopeNumerator", "caretSlopeDenominator", "caretOffset",
            "minOriginSB", "minAdvanceSB", "maxBeforeBL", "minAfterBL", "pad1", "pad2",
        ):  # fmt: skip
            setattr(metrics, field, 0)
        setattr(size, direction, metrics)
    index = eblc_index_sub_table_1(b"", font)
    index.names = sorted(data, key=GLYPHS.index)
    index.indexFormat, index.imageFormat = 1, 17
    index.firstGlyphIndex, index.lastGlyphIndex = (font.getGlyphID(index.names[end]) for end in (0, -1))
    strike.indexSubTables = [index]
    font["CBLC"] = newTable("CBLC")
    font["CBLC"].version, font["CBLC"].strikes = 3.0, [strike]
    font.save(path)
    return path


def write_outline_font(path: Path) -> Path:
    plain_font("Plain").save(path)
    return path
