import base64
import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from flowmodel.errors import Unavailable
from flowmodel.images.decode import decode_png, open_image
from flowmodel.images.svg import render
from flowmodel.images.svg.render import render_svg
from flowmodel.store import PROJECT_ROOT
from tests.images.svg.drawing import crashing

NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
SQUARE = f'<svg {NS} viewBox="0 0 2 2"><rect width="1" height="1" fill="#f00"/></svg>'

# Something to see in every view box.
GROUND = '<rect x="-99" y="-99" width="999" height="999"/><rect width="100%" height="100%"/>'


def svg_of(body: str, attributes: str = 'viewBox="0 0 2 2"') -> bytes:
    return f"<svg {NS} {attributes}>{body}</svg>".encode()


def size(attributes: str, pixels: int = 64) -> tuple[int, int]:
    """Width and height."""
    height, width = decode_png(render_svg(svg_of(GROUND, attributes), pixels)[0]).shape[:2]
    return width, height


def test_an_image_has_its_colors_and_a_transparent_ground() -> None:
    rgba = decode_png(render_svg(SQUARE.encode(), 8)[0])
    assert rgba.shape == (8, 8, 4)
    assert (rgba[:4, :4] == [255, 0, 0, 255]).all()
    assert not rgba[4:].any() and not rgba[:, 4:].any()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('viewBox="0 0 4 2"', (64, 32)),
        ('viewBox="0 0 2 4"', (32, 64)),
        ('viewBox="-1,-1,4,2"', (64, 32)),
        ('width="10" height="20"', (32, 64)),
        ('width="2in" height="1in" viewBox="0 0 1 1"', (64, 32)),
        ('width="100%" height="100%" viewBox="0 0 4 2"', (64, 32)),
        ('width="100%" height="1000" viewBox="0 0 10 1"', (1, 64)),
        ('viewBox="0 0 1 100000000"', (1, 64)),
        ("", (64, 64)),
    ],
)
def test_the_longer_edge_is_as_long_as_asked_whatever_the_units(attributes: str, expected: tuple[int, int]) -> None:
    assert size(attributes) == expected


@settings(max_examples=60, deadline=None)
@example("", "1e9", (5.277859609522996e16, 0.0, 36507219968.0, 38654703616.0))
@given(
    st.sampled_from(["", "10", "1e9", "1e-9", "50%", "3mm", "-4", "nan", "inf", "1e400"]),
    st.sampled_from(["", "7", "1e9", "90%"]),
    st.tuples(*[st.floats()] * 4),
)
def test_no_size_makes_an_image_larger_than_asked(width: str, height: str, box: tuple[float, ...]) -> None:
    sizes = "".join(f'{name}="{value}" ' for name, value in (("width", width), ("height", height)) if value)
    with contextlib.suppress(ValueError):
        # resvg rounds the other edge, which a view box far from the origin may make a pixel longer.
        assert max(size(f'{sizes}viewBox="{" ".join(map(str, box))}"', 32)) <= 33


@pytest.mark.parametrize(
    "start",
    [
        "\ufeff",
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- a comment -->',
        '\n  <?xml version="1.0"?>',
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">',
    ],
)
def test_what_may_stand_before_the_image_does_not_matter(start: str) -> None:
    assert np.array_equal(decode_png(render_svg((start + SQUARE).encode(), 8)[0]), decode_png(render_svg(SQUARE.encode(), 8)[0]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "corrupt SVG"),
        (b"\x89PNG\r\n", "not an SVG image: it does not start with an element"),
        (b"<html></html>", "not an SVG image: its root element is <html>"),
        (SQUARE.encode()[:-9], "corrupt SVG"),
        (svg_of("&undeclared;"), "corrupt SVG"),
        (svg_of('<image href="/etc/passwd"/>'), r"refers to another file \(/etc/passwd\); embed it"),
        (svg_of('<image xlink:href="file:///etc/passwd"/>'), "refers to another file"),
        (svg_of('<use href="other.svg#a"/>'), "refers to another file"),
        (svg_of('<g><feImage xlink:href=" http://x/y.png"/></g>'), "refers to another file"),
    ],
)
def test_what_is_not_an_image_of_its_own_has_a_short_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        render_svg(content, 16)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_no_file_of_the_machine_is_shown_through_an_image_in_the_image(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "secret.png")
    inner = svg_of(f'<image href="{tmp_path / "secret.png"}" width="2" height="2"/>')
    outer = svg_of(f'<image href="data:image/svg+xml;base64,{base64.b64encode(inner).decode()}" width="2" height="2"/>')
    with pytest.raises(ValueError, match="refers to another file"):
        render_svg(outer, 16)
    rule = f'rect {{ fill: url("file://{tmp_path / "secret.png"}") }}'
    style = svg_of(f'<style>{rule}</style><rect width="2" height="2" fill="none"/><circle r="1" fill="#00f"/>')
    assert not (decode_png(render_svg(style, 16)[0])[..., 0] > 0).any()


def test_an_embedded_image_is_shown() -> None:
    png = io.BytesIO()
    Image.new("RGB", (2, 2), "red").save(png, "PNG")
    body = f'<image xlink:href="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}" width="2" height="2"/>'
    assert decode_png(render_svg(svg_of(body), 8)[0])[4, 4].tolist() == [255, 0, 0, 255]


def as_data(content: bytes, kind: str) -> bytes:
    return svg_of(f'<image href="data:image/{kind};base64,{base64.b64encode(content).decode()}" width="2" height="2"/>')


def test_an_embedded_drawing_is_resolved_like_any_other() -> None:
    inner = svg_of('<style>:root{--a:#f00} rect{fill:var(--a)}</style><rect width="2" height="2"/>')
    assert decode_png(render_svg(as_data(inner, "svg+xml"), 8)[0])[4, 4].tolist() == [255, 0, 0, 255]
    with pytest.raises(ValueError, match="can't be rendered as in a browser: fill is var"):
        render_svg(as_data(svg_of('<path d="M0 0h1v1" fill="var(--b)"/>'), "svg+xml"), 8)
    deep = SQUARE.encode()
    for _ in range(6):
        deep = as_data(deep, "svg+xml")
    with pytest.raises(ValueError, match="SVG images too deeply"):
        render_svg(deep, 8)


@pytest.mark.parametrize("name", ["BMP", "ICO", "AVIF"])
def test_an_embedded_image_that_is_not_drawn_is_a_reason(name: str) -> None:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(content, name)
    with pytest.raises(ValueError, match="can't be rendered as in a browser: an embedded image is not a PNG"):
        render_svg(as_data(content.getvalue(), "png"), 8)


def test_text_is_not_drawn_and_the_note_says_so() -> None:
    assert render_svg(svg_of('<path d="M0 0h1v1"/><text y="2" font-size="2">A</text>'), 16)[1] == "its text is not rendered"
    with pytest.raises(ValueError, match=r"renders as an empty image \(it consists of text, which is not rendered"):
        render_svg(svg_of('<text y="2" font-size="2">A</text>'), 16)
    assert render_svg(SQUARE.encode(), 16)[1] == ""


def nested(depth: int) -> bytes:
    return svg_of('<g opacity=".9">' * depth + '<rect width="2" height="2"/>' + "</g>" * depth)


def chain_of_uses(depth: int, fan: int) -> bytes:
    groups = "".join(f'<g id="a{i}">' + f'<use href="#a{i - 1}"/>' * fan + "</g>" for i in range(1, depth))
    return svg_of(f'<defs><rect id="a0" width="1" height="1"/>{groups}</defs><use href="#a{depth - 1}"/>')


ENDLESS = svg_of(
    '<filter id="f"><feTurbulence baseFrequency=".5" numOctaves="100000000"/></filter>'
    '<rect filter="url(#f)" width="2" height="2"/>'
)


def huge_embedded() -> bytes:
    png = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(png, "PNG")
    return svg_of(f'<image width="2" height="2" href="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"/>')


@pytest.mark.parametrize(
    "content",
    [
        lambda: nested(500),
        lambda: nested(1000),
        lambda: nested(20_000),
        lambda: chain_of_uses(200, 1),
        lambda: chain_of_uses(5000, 1),
        lambda: chain_of_uses(30, 10),
        pytest.param(huge_embedded, marks=pytest.mark.slow),
    ],
    ids=["nested", "nested deep", "nested too deep", "chain", "long chain", "a billion uses", "huge embedded image"],
)
def test_an_image_made_to_exhaust_stack_or_memory_gives_an_image_or_a_reason_and_the_next_is_drawn(content) -> None:
    try:
        assert len(render_svg(content(), 16)[0]) > 0
    except ValueError as error:
        assert "\n" not in str(error)
    assert render_svg(SQUARE.encode(), 16)[1] == ""


def test_an_image_that_takes_forever_is_abandoned_and_the_next_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "DRAW_SECONDS", 1)
    monkeypatch.setattr(render, "BUSY", 60)
    started = time.monotonic()
    with pytest.raises(ValueError, match="takes longer than 1 s to render") as raised:
        render_svg(ENDLESS, 64)
    assert time.monotonic() - started < 60 and not isinstance(raised.value, Unavailable), "it will take as long the next time"
    monkeypatch.undo()
    assert render_svg(SQUARE.encode(), 16)[1] == ""


def test_a_busy_machine_is_not_the_image_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "BUSY", 0.02)  # of 20 seconds: so busy that the image gets no CPU time
    with pytest.raises(Unavailable, match=r"not rendered within 0\.4 s; the machine is too busy"):
        render_svg(ENDLESS, 64)
    monkeypatch.undo()
    assert render_svg(SQUARE.encode(), 16)[1] == ""


@pytest.mark.skipif(os.name != "posix", reason="ends with a signal of POSIX")
def test_what_was_ended_from_outside_is_not_the_image_s_fault() -> None:
    render_svg(SQUARE.encode(), 16)
    (worker,) = render._idle[-1:]
    with ThreadPoolExecutor(1) as executor:
        drawn = executor.submit(render_svg, ENDLESS, 64)
        while worker in render._idle:
            time.sleep(0.01)
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="was killed"):
            drawn.result(60)
    assert render_svg(SQUARE.encode(), 16)[1] == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only there is memory limited")
def test_an_image_that_ends_the_renderer_each_time_is_at_fault_itself() -> None:
    with pytest.raises(ValueError, match="crashes the renderer") as raised:
        render_svg(crashing(), 16)
    assert not isinstance(raised.value, Unavailable)
    assert render_svg(SQUARE.encode(), 16)[1] == ""


def test_threads_draw_side_by_side_and_each_gets_its_own_image() -> None:
    colors = [f"#{i:02x}{255 - i:02x}40" for i in range(0, 256, 4)]
    images = [svg_of(f'<rect width="2" height="2" fill="{color}"/>') for color in colors]
    with ThreadPoolExecutor(4) as executor:
        drawn = list(executor.map(lambda content: decode_png(render_svg(content, 8)[0])[4, 4], images))
    assert ["#{:02x}{:02x}{:02x}".format(*pixel[:3]) for pixel in drawn] == colors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_does_not_disturb_the_images_of_the_first() -> None:
    render_svg(SQUARE.encode(), 16)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if render_svg(SQUARE.encode(), 4) else 1)
        except BaseException:
            os._exit(2)
    for _ in range(50):
        assert decode_png(render_svg(SQUARE.encode(), 16)[0]).shape == (16, 16, 4)
    assert os.waitpid(child, 0)[1] == 0
    assert threading.active_count() < 20


SCRIPT = f"""
import psutil
from flowmodel.images.svg.render import render_svg
from tests.images.svg.drawing import crashing
print(len(render_svg({SQUARE.encode()!r}, 16)[0]), *[worker.pid for worker in psutil.Process().children()], flush=True)
"""


@pytest.mark.parametrize("way", ["file", "standard input"])
def test_a_script_without_a_main_guard_draws_too(tmp_path: Path, way: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script) if way == "file" else "-"]
    found = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}  # the script uses a helper of the tests
    done = subprocess.run(command, input=SCRIPT, env=found, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and int(done.stdout.split()[0]) > 50, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="ends with a signal of POSIX")
def test_a_process_that_is_killed_leaves_no_worker_behind() -> None:
    command = [sys.executable, "-c", f"{SCRIPT}\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    _, *workers = map(int, done.stdout.split())
    assert len(workers) >= 1
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in workers):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.05)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, len(SQUARE)))
def test_damaged_files_are_an_image_or_a_reason(noise: bytes, start: int) -> None:
    content = SQUARE.encode()[:start] + noise + SQUARE.encode()[start + len(noise) :]
    try:
        assert open_image(content, "a.svg", 16).width == 16
    except ValueError as error:
        assert "\n" not in str(error)
