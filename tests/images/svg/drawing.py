"""Small images, and their renderings."""

import base64
import struct
import zlib

from flowmodel.images.decode import decode_png
from flowmodel.images.svg.render import render_svg
from tests.images.profiles import chunk

NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
RED, GREEN, BLUE, BLACK, NOTHING = [255, 0, 0, 255], [0, 128, 0, 255], [0, 0, 255, 255], [0, 0, 0, 255], [0, 0, 0, 0]


def svg_of(body: str, attributes: str = 'viewBox="0 0 16 16"') -> bytes:
    return f"<svg {NS} {attributes}>{body}</svg>".encode()


def crashing() -> bytes:
    """An image of 250 bytes that asks for 2.5 GB: the renderer's process ends in any release and on any machine."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 25_000, 25_000, 8, 6, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return svg_of(f'<image width="2" height="2" href="data:image/png;base64,{base64.b64encode(png).decode()}"/>')


def pixel(content: bytes | str, x: int = 8, y: int = 8) -> list[int]:
    """Straight RGBA at (x, y) of an image drawn with 16 pixels; of a text, as the body of an image 16 units wide."""
    content = svg_of(content) if isinstance(content, str) else content
    return decode_png(render_svg(content, 16)[0])[y, x].tolist()


def notes(body: str) -> str:
    return render_svg(svg_of(body), 16)[1]
