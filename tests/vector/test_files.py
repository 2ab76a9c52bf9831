"""Files in other programs: each is opened by a reader that is independent of its writer.

PNG and WebP by resvg, which shows them as part of an SVG; ICNS by icnsutil; ICO by its published layout; all formats that a
browser supports by a browser.
"""

import base64
import struct

import icnsutil
import numpy as np
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.files import read_json
from flowmodel.images.rgba import premultiply
from flowmodel.vector.artwork import Artwork, background, render
from flowmodel.vector.files import ICNS_SIZES, ICO_SIZES, check, write
from flowmodel.vector.formats import FORMATS
from tests.evaluation.browser import CHROMIUM, browser_page
from tests.vector.icons import BADGE, drawn

HEART = drawn('<path d="M32 56C4 34 8 12 22 12q8 0 10 8q2-8 10-8c14 0 18 22-10 44z" fill="#d81b60"/>')
ICONS = {"check-0": Artwork(BADGE), "heart-0": Artwork(HEART)}


def opened_by_resvg(content: bytes, kind: str, size: int) -> np.ndarray:
    """Straight RGBA (size, size, 4) of an image shown in an SVG of that size."""
    data = base64.b64encode(content).decode()
    image = f'<image width="{size}" height="{size}" href="data:image/{kind};base64,{data}"/>'
    return np.asarray(render(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}">{image}</svg>', size))


def png_size(content: bytes) -> tuple[int, int]:
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def assert_shows_badge(rgba: np.ndarray, around: tuple[int, ...] = (0, 0, 0, 0)) -> None:
    """A red disc with a white check mark, on a transparent or other background."""
    size = len(rgba)
    assert np.abs(rgba[round(size * 0.2), size // 2].astype(int) - [229, 57, 53, 255]).max() < 12
    assert rgba[round(size * 42 / 64), round(size * 28 / 64), :3].min() > 200  # where both strokes meet
    assert tuple(rgba[1, 1]) == around


def ico_entries(content: bytes) -> dict[int, bytes]:
    """By width, as https://learn.microsoft.com/en-us/previous-versions/ms997538(v=msdn.10) lays them out."""
    reserved, kind, count = struct.unpack_from("<HHH", content)
    assert (reserved, kind) == (0, 1)
    entries = [struct.unpack_from("<BBBBHHII", content, 6 + 16 * i) for i in range(count)]
    return {width or 256: content[offset : offset + length] for width, *_, length, offset in entries}


def test_png_has_the_size_that_is_requested(tmp_path):
    [path, _] = write(ICONS, tmp_path, "png", 512)
    assert path == tmp_path / "check-0.png" and png_size(path.read_bytes()) == (512, 512)
    assert_shows_badge(opened_by_resvg(path.read_bytes(), "png", 512))


def test_png_without_a_size_has_the_pixels_that_were_drawn(tmp_path):
    [path, _] = write(ICONS, tmp_path, "png")
    again = premultiply(opened_by_resvg(path.read_bytes(), "png", 64)).astype(int)
    assert np.abs(again - BADGE.transpose(1, 2, 0)).max() <= 1


def test_webp_is_a_sticker_of_512_pixels(tmp_path):
    content = write(ICONS, tmp_path, "webp")[0].read_bytes()
    assert content[:4] == b"RIFF" and content[8:16] == b"WEBPVP8L" and len(content) < 100_000
    bits = struct.unpack_from("<I", content, 21)[0]  # of https://developers.google.com/speed/webp/docs/webp_lossless_bitstream
    assert ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1) == (512, 512)
    assert_shows_badge(opened_by_resvg(content, "webp", 512))


def test_ico_holds_every_size_drawn_by_itself(tmp_path):
    entries = ico_entries(write(ICONS, tmp_path, "ico")[0].read_bytes())
    assert tuple(entries) == ICO_SIZES
    for size, content in entries.items():
        assert png_size(content) == (size, size)
        assert_shows_badge(opened_by_resvg(content, "png", size))


def test_icns_holds_every_size(tmp_path):
    opened = icnsutil.IcnsFile(str(write(ICONS, tmp_path, "icns")[0]))
    sizes = {png_size(content)[0]: content for content in opened.media.values() if content[:4] == b"\x89PNG"}
    assert sorted(sizes) == list(ICNS_SIZES)
    assert not list(icnsutil.IcnsFile.verify(str(tmp_path / "check-0.icns")))
    for size, content in sizes.items():
        assert_shows_badge(opened_by_resvg(content, "png", size))


def test_a_sheet_tells_where_each_image_lies(tmp_path):
    image, description = write(ICONS, tmp_path, "sheet", 96)
    sheet, meta = read_json(description), read_json(description)["meta"]
    assert meta["image"] == image.name and png_size(image.read_bytes()) == (meta["size"]["w"], meta["size"]["h"]) == (194, 96)
    pixels = opened_by_resvg(image.read_bytes(), "png", 194)[49:145]  # resvg puts it in the middle of the square
    assert list(sheet["frames"]) == ["check-0.png", "heart-0.png"]
    for name, artwork in (("check-0.png", ICONS["check-0"]), ("heart-0.png", ICONS["heart-0"])):
        x, y, w, h = (sheet["frames"][name]["frame"][key] for key in "xywh")
        assert (w, h) == (96, 96) and (pixels[y : y + h, x : x + w] == np.asarray(artwork.at(96))).all()


def test_a_favicon_is_a_folder_with_what_a_page_wants(tmp_path):
    written = {path.name: path for path in write({"check-0": ICONS["check-0"]}, tmp_path, "favicon")}
    assert all(path.parent == tmp_path / "check-0" for path in written.values())
    assert tuple(ico_entries(written["favicon.ico"].read_bytes())) == (16, 32, 48)
    assert png_size(written["apple-touch-icon.png"].read_bytes()) == (180, 180)
    assert_shows_badge(opened_by_resvg(written["favicon.svg"].read_bytes(), "svg+xml", 64))
    for icon in read_json(written["site.webmanifest"])["icons"]:
        size = int(icon["sizes"].split("x")[0])
        assert_shows_badge(opened_by_resvg(written[icon["src"].strip("/")].read_bytes(), "png", size))
    assert all(f'"/{name}"' in written["head.html"].read_text() for name in ("favicon.ico", "favicon.svg", "site.webmanifest"))


@pytest.mark.parametrize("traces", [True, False])
def test_a_background_lies_under_the_image(traces, tmp_path):
    icons = {"check": Artwork(BADGE, traces, background("#00ff80"))}
    for size in (64, 200):
        content = write(icons, tmp_path, "png", size)[0].read_bytes()
        assert_shows_badge(opened_by_resvg(content, "png", size), (0, 255, 128, 255))


def test_enlarged_pixels_have_no_dark_fringe():
    white = drawn('<circle cx="32" cy="32" r="26" fill="#fff"/>')
    rgba = np.asarray(Artwork(white, traces=False).at(256))
    assert rgba.shape == (256, 256, 4) and rgba[rgba[..., 3] > 8, :3].min() > 240


@pytest.mark.parametrize("color", ["#12", "nonsense", ""])
def test_a_color_that_is_none_is_named(color):
    with pytest.raises(FlowmodelError, match=f"background '{color}': use transparent, or a color such as #fff"):
        background(color)


def test_a_color_is_taken_as_people_write_it():
    assert [background(color) for color in ("transparent", "#fff", "#FFCC00", "white")] == [None, "#ffffff", "#ffcc00", "#ffffff"]


@pytest.mark.parametrize(
    ("format", "size", "traces", "words"),
    [
        ("ico", 64, True, "ico contains all its sizes"),
        ("favicon", 64, True, "leave out --size"),
        ("svg", None, False, "consists of traced shapes"),
    ],
)
def test_options_that_do_not_go_together_are_refused(format, size, traces, words):
    with pytest.raises(FlowmodelError, match=words):
        check(format, size, traces)
    for other in FORMATS:
        check(other, None, True)


_READ = """
(async () => {
  const image = new Image();
  image.src = "data:image/%s;base64,%s";
  await image.decode();
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const canvas = Object.assign(document.createElement("canvas"), {width, height});
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const at = (x, y) => [...context.getImageData(x * width, y * height, 1, 1).data];
  return {width, height, center: at(0.5, 0.2), corner: at(0.01, 0.01)};
})()
"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_them_all(tmp_path):
    kinds = {"png": ("png", 200), "svg": ("svg+xml", 200), "webp": ("webp", 512), "ico": ("x-icon", 256)}
    with browser_page(tmp_path / "browser") as page:
        for format, (kind, size) in kinds.items():
            asked = size if format in ("png", "svg") else None
            content = write(ICONS, tmp_path / "icons", format, asked)[0].read_bytes()
            script = _READ % (kind, base64.b64encode(content).decode())
            found = page.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)["result"]["value"]
            assert (found["width"], found["height"]) == (size, size), format
            assert found["corner"] == [0, 0, 0, 0] and np.abs(np.array(found["center"]) - [229, 57, 53, 255]).max() < 12, format
