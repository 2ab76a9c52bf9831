"""Bitmaps of a color font: the images of one strike of `sbix` or `CBDT`, by glyph name.

`sbix`: Apple's TrueType Reference Manual; OpenType 1.9, "sbix - Standard Bitmap Graphics Table". `CBDT`, `CBLC`: OpenType 1.9.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from fontTools.ttLib import TTCollection, TTFont

from flowmodel.errors import FlowmodelError
from flowmodel.images.decode import decode_png, open_image
from flowmodel.images.rgba import encode_png

_IMAGES = {"png ": ".png", "jpg ": ".jpg"}  # sbix graphic types that are files
# References to another glyph's image. `flip` came with the emoji that face right, and is in no published specification;
# fontTools reads it as a reference too.
_DUPLICATE, _MIRRORED = "dupe", "flip"
_WEB_FONT, _WOFF2 = b"wOF", b"wOF2"
_MAX_REFERENCES = 8  # a longer chain of references is circular


@dataclass(frozen=True)
class ColorFont:
    """A font with color bitmaps.

    Attributes:
        path, index: the file, and the font's index in it (0 except in collections).
        family, version, copyright, license, manufacturer: from its name table, or empty. The license is its
            text, else its address, else the copyright.
        ppem: pixels per em of the strike, the largest of the font.
        glyph_names: by glyph id.
    """

    path: Path
    index: int
    family: str
    version: str
    copyright: str
    license: str
    manufacturer: str
    ppem: int
    glyph_names: tuple[str, ...]
    _strike: Any  # glyph name -> fontTools' glyph
    _is_sbix: bool

    def has_image(self, glyph: str) -> bool:
        """Whether the glyph has a bitmap, readable or not."""
        return glyph in self._strike and (not self._is_sbix or self._strike[glyph].graphicType is not None)

    def image(self, glyph: str) -> tuple[bytes, str]:
        """The file and its extension (".png"); raises ValueError with a short reason if it can't be rendered."""
        try:
            if not self._is_sbix:
                return self._strike[glyph].imageData, ".png"
            bitmap, mirrored = self._follow(glyph)
            if bitmap.graphicType not in _IMAGES:
                raise ValueError(f"unsupported bitmap type '{bitmap.graphicType.strip()}'")
            extension = _IMAGES[bitmap.graphicType]
            return (_mirror(bitmap.imageData, extension), ".png") if mirrored else (bitmap.imageData, extension)
        except ValueError:
            raise
        except Exception as error:  # damaged fonts make fontTools raise many types
            raise ValueError(f"damaged bitmap ({type(error).__name__})") from None

    def _follow(self, glyph: str) -> tuple[Any, bool]:
        """The bitmap at the end of the references of `glyph`, and whether it must be mirrored."""
        mirrored = False
        for _ in range(_MAX_REFERENCES):
            bitmap = self._strike.get(glyph)
            if bitmap is None or bitmap.graphicType is None:
                raise ValueError(f"refers to glyph '{glyph}', which has no bitmap")
            if bitmap.graphicType not in (_DUPLICATE, _MIRRORED):
                return bitmap, mirrored
            mirrored ^= bitmap.graphicType == _MIRRORED
            glyph = bitmap.referenceGlyphName
        raise ValueError("is a circular duplicate")


def _mirror(content: bytes, extension: str) -> bytes:
    rgba_hwc = decode_png(open_image(content, f"mirrored{extension}").png)
    return encode_png(np.ascontiguousarray(rgba_hwc[:, ::-1]))


def open_color_font(path: Path) -> ColorFont:
    """The first font in the file at `path` that has color bitmaps, and its largest strike.

    Raises FlowmodelError when the file is missing, is not a font, or has no color bitmaps.
    """
    fonts = _fonts(path)
    with damage_told(path):
        for index, font in enumerate(fonts):
            if "sbix" in font and (strikes := font["sbix"].strikes):
                ppem = max(strikes)
                return _describe(path, index, font, ppem, strikes[ppem].glyphs, is_sbix=True)
            if "CBDT" in font and "CBLC" in font and font["CBLC"].strikes:
                sizes = [strike.bitmapSizeTable.ppemY for strike in font["CBLC"].strikes]
                largest = sizes.index(max(sizes))
                return _describe(path, index, font, sizes[largest], font["CBDT"].strikeData[largest], is_sbix=False)
    found = sorted({table for font in fonts for table in ("COLR", "SVG ", "CFF ", "glyf") if table in font})
    raise FlowmodelError(
        f"{path}: has no color bitmaps (sbix or CBDT), only {', '.join(t.strip() for t in found) or 'other tables'}; "
        "use a bitmap font, or the same icons as SVG with kind iconify or folder"
    )


def font_version(path: Path) -> str:
    """The version string of the font's name table; raises FlowmodelError when the file is missing or not a font."""
    with damage_told(path):
        return _name(_fonts(path)[0], 5)


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turns the exceptions of fontTools and HarfBuzz for a damaged font, which may be of any type, into a FlowmodelError."""
    try:
        yield
    except FlowmodelError:
        raise
    except Exception as error:
        raise FlowmodelError(f"{path}: damaged font ({type(error).__name__}: {_line(error)}); reinstall it") from None


def unpacked(font: ColorFont) -> bytes | None:
    """A web font (WOFF, WOFF2) in a format that HarfBuzz reads; None for a file that it can already read."""
    if not _signature(font.path).startswith(_WEB_FONT):
        return None
    buffer = io.BytesIO()
    with damage_told(font.path):
        plain = TTFont(font.path)
        plain.flavor = None
        plain.save(buffer)
    return buffer.getvalue()


def _signature(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _fonts(path: Path) -> list[TTFont]:
    try:
        signature = _signature(path)
        if signature == _WOFF2 and not (find_spec("brotli") or find_spec("brotlicffi")):
            raise FlowmodelError(f"{path}: WOFF2 fonts need the package 'brotli'; run: pip install brotli")
        if signature == b"ttcf":
            return list(TTCollection(path, lazy=True).fonts)
        return [TTFont(path, lazy=True)]
    except FlowmodelError:
        raise
    except OSError as error:
        raise FlowmodelError(f"{path}: can't be read ({error.strerror}); correct its path in sources.yaml") from None
    except Exception as error:  # of any type if the file is not a font
        raise FlowmodelError(f"{path}: not a font ({_line(error)}); correct its path in sources.yaml") from None


def _describe(path: Path, index: int, font: TTFont, ppem: int, strike: Any, is_sbix: bool) -> ColorFont:
    return ColorFont(
        path=path,
        index=index,
        family=_name(font, 16) or _name(font, 1) or path.stem,
        version=_name(font, 5),
        copyright=_name(font, 0),
        license=_name(font, 13) or _name(font, 14) or _name(font, 0),
        manufacturer=_name(font, 8),
        ppem=ppem,
        glyph_names=tuple(font.getGlyphOrder()),
        _strike=strike,
        _is_sbix=is_sbix,
    )


def _name(font: TTFont, number: int) -> str:
    name = font["name"].getDebugName(number) if "name" in font else None
    return " ".join((name or "").split())


def _line(error: Exception) -> str:
    lines: Iterable[str] = str(error).splitlines()
    return next(iter(lines), type(error).__name__)
