"""Compares renderings of icon sets with a browser's: `python -m benchmarks.drawings noto@1.2.9 line-md@1.2.16 --icons 150`.

For every set, counts the icons that differ from Chromium's rendering by more than 0.05 of the range (RMS, premultiplied), and
the same for resvg alone, without the preprocessing of flowmodel.images.svg. Animated icons are compared at their end and
omitted if they have none. Needs npm and a Chromium browser; `--others librsvg skia cairo` adds other renderers, with `pip
install pyvips-binary pyvips skia-python CairoSVG`.

Shape suffixes: H = W = EDGE, 4 channels (red, green, blue, alpha).
"""

import argparse
import io
import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

from flowmodel.data.sources.config import IconifySource
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.iconify_svg import Icon, icon_svg, resolve_icons
from flowmodel.data.sources.npm_client import fetch_package, read_members
from flowmodel.errors import FlowmodelError
from flowmodel.images.notes import split_notes
from flowmodel.images.rgba import premultiply
from flowmodel.images.svg.render import render_svg
from flowmodel.store import Store

EDGE = 128
DIFFERENT = 0.05
_COLUMNS = 10
_LATE = 1000  # seconds, after the end of every finite animation
_FLAGS = "--headless --disable-gpu --no-sandbox --hide-scrollbars --default-background-color=00000000 --force-color-profile=srgb"

Pixels = NDArray[np.uint8]
Renderer = Callable[[bytes], bytes]  # SVG to PNG


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET@VERSION", help="of Iconify, as noto@1.2.9")
    parser.add_argument("--icons", type=int, default=150, help="of every set, chosen at random")
    parser.add_argument("--others", nargs="*", default=[], choices=OTHERS, help="more renderers to compare")
    options = parser.parse_args()
    if (browser := next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)) is None:
        raise FlowmodelError("no Chromium browser found: install one, or add it to PATH")
    renderers = {"resvg alone": _alone} | {name: OTHERS[name] for name in options.others}
    columns = ["set", "icons", "not rendered", "differ", "median RMS", *renderers]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for wanted in options.sets:
        name, _, version = wanted.partition("@")
        print(_compared(name, _some(name, version, options.icons), browser, renderers.values()), flush=True)


def _some(name: str, version: str, count: int) -> list[bytes]:
    context = SourceContext(root=Path(), downloads=Store.from_environment().downloads)
    config = IconifySource(name=name, kind="iconify", set=name, version=version)
    package = fetch_package(f"@iconify-json/{config.set}", config.version, config.integrity, context)
    icons = resolve_icons(json.loads(read_members(package.tgz, {"package/icons.json"})["package/icons.json"]))
    drawings = [icon_svg(icon, "#000000") for icon in icons.values() if isinstance(icon, Icon) and icon.width == icon.height]
    return random.Random(0).sample(drawings, min(count, len(drawings)))


def _compared(name: str, drawings: list[bytes], browser: str, others: Collection[Renderer]) -> str:
    ours: list[Pixels] = []
    kept, late, refused = [], False, 0
    for drawing in drawings:
        try:
            png, notes = render_svg(drawing, EDGE)
        except ValueError:
            refused += 1
            continue
        if "one moment of an endless animation" in split_notes(notes):
            continue
        late = late or "the final state of its animation" in split_notes(notes)
        kept.append(drawing)
        ours.append(_opened(png))
    theirs = _shown(kept, browser, late)
    distances = [_distance(a, b) for a, b in zip(ours, theirs, strict=True)]
    differ = [sum(_differs(draw, drawing, b) for drawing, b in zip(kept, theirs, strict=True)) for draw in others]
    own = sum(distance > DIFFERENT for distance in distances)
    return f"| {name} | {len(kept)} | {refused} | {own} | {np.median(distances or [0]):.4f} | {' | '.join(map(str, differ))} |"


def _differs(draw: Renderer, drawing: bytes, shown_HW4: Pixels) -> bool:
    try:
        return _distance(_opened(draw(drawing)), shown_HW4) > DIFFERENT
    except Exception:  # each of them has its own
        return True


def _alone(drawing: bytes) -> bytes:
    return bytes(resvg_py.svg_to_bytes(svg_string=drawing.decode(), skip_system_fonts=True, dpi=96.0, width=EDGE, height=EDGE))


def _librsvg(drawing: bytes) -> bytes:
    import pyvips

    png: bytes = pyvips.Image.thumbnail_buffer(drawing, EDGE, height=EDGE).pngsave_buffer()
    return png


def _skia(drawing: bytes) -> bytes:
    import skia

    drawn = skia.SVGDOM.MakeFromStream(skia.MemoryStream(drawing))
    size = drawn.containerSize()
    surface = skia.Surface(EDGE, EDGE)
    with surface as canvas:
        canvas.scale(EDGE / size.width(), EDGE / size.height())
        drawn.render(canvas)
    return bytes(surface.makeImageSnapshot().encodeToData())


def _cairo(drawing: bytes) -> bytes:
    import cairosvg

    png: bytes = cairosvg.svg2png(drawing, output_width=EDGE, output_height=EDGE)
    return png


OTHERS: dict[str, Renderer] = {"librsvg": _librsvg, "skia": _skia, "cairo": _cairo}


def _opened(png: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def _distance(a_HW4: Pixels, b_HW4: Pixels) -> float:
    difference_HW4 = (premultiply(a_HW4).astype(float) - premultiply(b_HW4)) / 255
    return float(np.sqrt((difference_HW4**2).mean()))


def _shown(drawings: list[bytes], browser: str, late: bool) -> list[Pixels]:
    """The browser's rendering on a transparent page, in a grid; `late`: after their animations."""
    shown: list[Pixels] = []
    for start in range(0, len(drawings), _COLUMNS**2):
        part = drawings[start : start + _COLUMNS**2]
        cells = [
            f'<div style="left:{index % _COLUMNS * EDGE}px;top:{index // _COLUMNS * EDGE}px">{drawing.decode()}</div>'
            for index, drawing in enumerate(part)
        ]
        style = f"body{{margin:0}}body>div{{position:absolute}}body>div,body>div>svg{{width:{EDGE}px;height:{EDGE}px}}"
        script = f"for (const svg of document.querySelectorAll('div>svg')) {{svg.pauseAnimations(); svg.setCurrentTime({_LATE})}}"
        with tempfile.TemporaryDirectory() as folder:
            page, drawn = Path(folder) / "page.html", Path(folder) / "page.png"
            page.write_text(f"<!doctype html><style>{style}</style>{''.join(cells)}<script>{script if late else ''}</script>")
            edge = _COLUMNS * EDGE
            files = (f"--user-data-dir={folder}/profile", f"--screenshot={drawn}", f"--window-size={edge},{edge}")
            subprocess.run([browser, *_FLAGS.split(), *files, page.as_uri()], check=True, capture_output=True, timeout=300)
            whole_HW4 = _opened(drawn.read_bytes())
        for index in range(len(part)):
            top, left = index // _COLUMNS * EDGE, index % _COLUMNS * EDGE
            shown.append(whole_HW4[top : top + EDGE, left : left + EDGE])
    return shown


if __name__ == "__main__":
    main()
