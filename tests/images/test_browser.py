"""Right values, from the source: the same images in the browser of this machine."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from flowmodel.images.decode import decode_png, open_image
from flowmodel.images.rgba import premultiply
from tests.evaluation.browser import CHROMIUM, browser_page
from tests.images.profiles import chunk, of_color, png
from tests.images.svg.drawing import svg_of
from tests.images.test_color_profile import IMAGES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium browser on this machine"),
]

XHTML = "http://www.w3.org/1999/xhtml"
RECT = '<rect class="a" id="r" width="16" height="16" fill="blue"/>'
RULES = """
.a{fill:oklch(0.6 0.2 22)}
.a{fill:lab(50% 40 -20)}
.a{fill:color(display-p3 0.85 0.27 0.29)}
.a{fill:color-mix(in srgb, #ff0000, #ffffff 20%)}
.a{fill:color-mix(in oklch, red 30%, blue 40%)}
.a{fill:color-mix(in hsl longer hue, red, lime)}
.a{fill:hwb(200 20% 30% / 60%)}
.a{fill:light-dark(#e63946, #ffffff)}
.a{fill:rgb(10 20 30 / .5);fill:rgb(1 2)}
svg{--a:hsl(30 80% 50%);.a{fill:var(--a)}}
:is(.a,.b):not(:root){fill:#2a9d8f}
@media (prefers-color-scheme: light){.a{fill:#457b9d}}
@media (prefers-color-scheme: dark){.a{fill:#457b9d}}
.a{fill:#123456!important}#r{fill:red}
@layer base{#r{fill:red}} .a{fill:#abcdef}
.a{transform:rotate(45deg) scale(.5);transform-origin:50% 50%;transform-box:fill-box}
.a{translate:2px 3px;rotate:10deg;transform:skewX(10deg)}
.a{width:calc(4px * 3)}
"""
SHAPES = (
    '<rect width="16" height="16" fill="url(#gone) #f4a261"/>',
    '<rect width="16" height="16" fill="nonsense"/>',
    '<linearGradient id="g"><stop stop-color="red"/><stop offset="1" stop-color="blue"/></linearGradient>'
    '<rect width="16" height="16" style="fill:url(#g)"/>',
)


def opaque(content: bytes) -> str:
    kind = "image/png" if content[:4] == b"\x89PNG" else "image/jpeg" if content[:2] == b"\xff\xd8" else "image/svg+xml"
    return f"data:{'image/webp' if content[:4] == b'RIFF' else kind};base64,{base64.b64encode(content).decode()}"


def shown(folder: Path, contents: list[bytes], edge: int, whole: bool = False) -> list[list[int]]:
    """Straight RGBA in the middle of each image, or of all its pixels, drawn `edge` pixels wide, as the browser has it."""
    page = folder / "page.html"
    page.write_text("".join(f'<img width="{edge}" height="{edge}" src="{opaque(content)}">' for content in contents))
    middle = """JSON.stringify([...document.images].map(image => {
        const canvas = new OffscreenCanvas(EDGE, EDGE), context = canvas.getContext("2d");
        context.drawImage(image, 0, 0, EDGE, EDGE);
        return [...context.getImageData(AREA).data];
    }))"""
    area = "0, 0, EDGE, EDGE" if whole else "EDGE / 2, EDGE / 2, 1, 1"
    with browser_page(folder / "profile") as tab:
        tab.open(page, 800, 600, "light")
        found: list[list[int]] = json.loads(tab.evaluate(middle.replace("AREA", area).replace("EDGE", str(edge))))
    return found


def differences(folder: Path, images: list[tuple[str, bytes]], edge: int) -> list[tuple[str, list[int], list[int]]]:
    wrong = []
    for (name, content), there in zip(images, shown(folder, [content for _, content in images], edge), strict=True):
        here = decode_png(open_image(content, name.rpartition("/")[2], edge).png)[edge // 2, edge // 2].tolist()
        # The canvas keeps colors multiplied by alpha.
        if abs(here[3] - there[3]) > 2 or (here[3] > 8 and max(abs(a - b) for a, b in zip(here, there, strict=True)) > 4):
            wrong.append((name, here, there))
    return wrong


def test_pixels_have_the_colors_that_the_browser_shows(tmp_path: Path) -> None:
    images = [(f"{name}/{file}", content) for name, (file, content, _, _) in IMAGES.items()]
    grey = [png(depth, 0, row, chunk(b"tRNS", b"\0\2")) for depth, row in ((2, b"\xaa\xaa"), (4, b"\x22" * 4), (4, b"\xaa" * 4))]
    images += [(f"grey {number}/x.png", content) for number, content in enumerate(grey)]
    images.append(("16 bits/x.png", png(16, 2, b"\x12\x34\x56\x78\x9a\xbc" * 8, chunk(b"tRNS", b"\x12\x34\x56\x78\x9a\xbd"))))
    images.append(("comment/x.png", of_color(9, 8, 7, extras=(chunk(b"tEXt", b"a\0" + b"x" * 2_000_000),))))
    assert differences(tmp_path, images, 8) == []


def test_style_sheets_give_what_the_browser_shows(tmp_path: Path) -> None:
    bodies = [f"<style>{rule}</style>{RECT}" for rule in RULES.strip().splitlines()] + list(SHAPES)
    images = [(f"{body}/x.svg", svg_of(body, 'viewBox="0 0 16 16" width="16" height="16"')) for body in bodies]
    assert differences(tmp_path, images, 16) == []


CONIC = """
from 90deg,red,yellow,lime,aqua,blue,magenta,red
from 0deg,red 0deg 90deg,blue 90deg 180deg,lime 180deg
from 45deg,rgba(255,0,0,.5) 0deg,rgba(0,0,255,.5) 180deg,rgba(255,0,0,.5) 360deg
red,transparent
from -0.25turn,#f00 10%,#00f8 60%
red -90deg, blue 720deg
"""


def test_angular_gradients_are_pixel_by_pixel_those_of_the_browser(tmp_path: Path) -> None:
    edge, drawings, wrong = 64, {}, []
    for stops in CONIC.strip().splitlines():
        div = f'<div xmlns="{XHTML}" style="background:conic-gradient({stops});height:100%"></div>'
        html = f'<foreignObject x="-900" y="-600" width="1800" height="1200">{div}</foreignObject>'
        placed = f'<g clip-path="url(#c)"><g transform="matrix(0 .01 -.02 0 8 8)">{html}</g></g>'
        body = f'<clipPath id="c"><circle cx="8" cy="8" r="7"/></clipPath>{placed}'
        drawings[stops] = svg_of(body, 'viewBox="0 0 16 16" width="16" height="16"')
    for (stops, drawing), there in zip(drawings.items(), shown(tmp_path, [*drawings.values()], edge, whole=True), strict=True):
        here_HW4 = decode_png(open_image(drawing, "x.svg", edge).png)
        there_HW4 = np.array(there, np.uint8).reshape(edge, edge, 4)
        difference_HW4 = (premultiply(here_HW4).astype(float) - premultiply(there_HW4)) / 255
        if (distance := float(np.sqrt((difference_HW4**2).mean()))) > 0.02:
            wrong.append((stops, distance))
    assert wrong == []
