"""Right values, from the source: the same pictures in the browser of this machine."""

import base64
import json
from pathlib import Path

import pytest

from flowmodel.images.decode import decode_png, open_picture
from tests.evaluation.browser import CHROMIUM, browser_page
from tests.images.profiles import chunk, of_color, png
from tests.images.svg.drawing import svg_of
from tests.images.test_color_profile import PICTURES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium browser on this machine"),
]

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


def shown(folder: Path, contents: list[bytes], edge: int) -> list[list[int]]:
    """Straight RGBA in the middle of each picture, drawn `edge` pixels wide, as the browser has it."""
    page = folder / "page.html"
    page.write_text("".join(f'<img width="{edge}" height="{edge}" src="{opaque(content)}">' for content in contents))
    middle = """JSON.stringify([...document.images].map(image => {
        const canvas = new OffscreenCanvas(EDGE, EDGE), context = canvas.getContext("2d");
        context.drawImage(image, 0, 0, EDGE, EDGE);
        return [...context.getImageData(EDGE / 2, EDGE / 2, 1, 1).data];
    }))"""
    with browser_page(folder / "profile") as tab:
        tab.open(page, 800, 600, "light")
        found: list[list[int]] = json.loads(tab.evaluate(middle.replace("EDGE", str(edge))))
    return found


def differences(folder: Path, pictures: list[tuple[str, bytes]], edge: int) -> list[tuple[str, list[int], list[int]]]:
    wrong = []
    for (name, content), there in zip(pictures, shown(folder, [content for _, content in pictures], edge), strict=True):
        here = decode_png(open_picture(content, name.rpartition("/")[2], edge).png)[edge // 2, edge // 2].tolist()
        # The canvas keeps colors multiplied by alpha.
        if abs(here[3] - there[3]) > 2 or (here[3] > 8 and max(abs(a - b) for a, b in zip(here, there, strict=True)) > 4):
            wrong.append((name, here, there))
    return wrong


def test_pixels_have_the_colors_that_the_browser_shows(tmp_path: Path) -> None:
    pictures = [(f"{name}/{file}", content) for name, (file, content, _, _) in PICTURES.items()]
    grey = [png(depth, 0, row, chunk(b"tRNS", b"\0\2")) for depth, row in ((2, b"\xaa\xaa"), (4, b"\x22" * 4), (4, b"\xaa" * 4))]
    pictures += [(f"grey {number}/x.png", content) for number, content in enumerate(grey)]
    pictures.append(("16 bits/x.png", png(16, 2, b"\x12\x34\x56\x78\x9a\xbc" * 8, chunk(b"tRNS", b"\x12\x34\x56\x78\x9a\xbd"))))
    pictures.append(("comment/x.png", of_color(9, 8, 7, extras=(chunk(b"tEXt", b"a\0" + b"x" * 2_000_000),))))
    assert differences(tmp_path, pictures, 8) == []


def test_style_sheets_give_what_the_browser_shows(tmp_path: Path) -> None:
    bodies = [f"<style>{rule}</style>{RECT}" for rule in RULES.strip().splitlines()] + list(SHAPES)
    pictures = [(f"{body}/x.svg", svg_of(body, 'viewBox="0 0 16 16" width="16" height="16"')) for body in bodies]
    assert differences(tmp_path, pictures, 16) == []
