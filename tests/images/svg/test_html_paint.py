import pytest

from flowmodel.images.svg.render import render_svg
from tests.images.svg.drawing import BLUE, NOTHING, RED, notes, pixel, svg_of

XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def html(style: str, inside: str = "", attributes: str = 'width="16" height="16"') -> str:
    return f'<foreignObject {attributes}><div {XHTML} style="{style}">{inside}</div></foreignObject>'


def test_an_angular_gradient_of_a_design_tool_is_drawn() -> None:
    ring = html(
        "background:conic-gradient(from 90deg, red 0deg, blue 180deg, red 360deg);height:100%",
        attributes='width="160" height="160"',
    )
    body = (
        f'<clipPath id="c"><circle cx="8" cy="8" r="7"/></clipPath><g clip-path="url(#c)"><g transform="scale(.1)">{ring}</g></g>'
    )
    right, left, down = pixel(body, 13, 8), pixel(body, 2, 8), pixel(body, 8, 13)
    assert right[0] > 210 and left[2] > 210 and abs(down[0] - 127) < 30
    assert pixel(body, 0, 0)[3] == 0
    assert notes(body) == ""


@pytest.mark.parametrize(
    "style",
    [
        "background:red",
        "background-color:rgb(255 0 0)",
        "background:conic-gradient(red, red)",
        "background:repeating-conic-gradient(from -0.25turn, #f00 0 10deg, #f00 30deg)",
        "background-image:none;background-color:red",
        "background:red;border-color:transparent;color:lime;width:120%",
    ],
)
def test_a_plain_ground_is_drawn(style: str) -> None:
    assert pixel(html(f"{style};height:100%")) == RED


def test_a_ground_is_where_its_box_is() -> None:
    assert pixel(html("width:50%;height:6px;background:red"), 7, 5) == RED
    assert pixel(html("width:50%;height:6px;background:red"), 8, 5) == NOTHING
    inner = f'<div {XHTML} style="background:red;height:50%"></div>'
    assert [pixel(html("height:100%", inner), 8, y) for y in (7, 8)] == [RED, NOTHING]


def test_what_is_half_transparent_is_so_once() -> None:
    clear = "conic-gradient(rgba(255,0,0,.5), rgb(255 0 0 / 50%))"
    assert pixel(html(f"background:{clear};height:100%")) == pytest.approx([255, 0, 0, 128], abs=1)
    assert pixel(html("background:red;opacity:50%;height:100%")) == pytest.approx([255, 0, 0, 128], abs=1)


def test_a_style_sheet_for_the_image_s_own_shapes_does_not_reach_it() -> None:
    assert pixel("<style>rect,image{fill:blue;opacity:.5}</style>" + html("background:red;height:100%")) == RED


def test_what_stands_behind_html_in_a_switch_is_drawn_instead() -> None:
    body = f'<switch>{html("background:blue", "words")}<rect width="16" height="16" fill="red"/></switch>'
    assert pixel(body) == RED
    assert notes(body) == ""


@pytest.mark.parametrize(
    "style", ["backdrop-filter:blur(2px)", "", "background:none", "background:red", "border-radius:4px;border:0;height:100%"]
)
def test_html_that_paints_nothing_is_nothing(style: str) -> None:
    assert pixel(f'<rect width="16" height="16" fill="blue"/>{html(style)}') == BLUE


@pytest.mark.parametrize(
    ("style", "inside"),
    [
        ("background:url(data:image/png,x);height:100%", ""),
        ("background:radial-gradient(red, blue);height:100%", ""),
        ("background:conic-gradient(from 0deg at 10% 10%, red, blue);height:100%", ""),
        ("background:conic-gradient(in oklch, red, blue);height:100%", ""),
        ("background:red;height:3em", ""),
        ("background:red;height:100%;border-radius:4px", ""),
        ("background:red;height:100%;margin:2px", ""),
        ("background:red;height:100%;width:50%;margin:0 auto", ""),
        ("background:red;height:100%;display:none", ""),
        ("background:red;background-image:conic-gradient(red, blue);height:100%", ""),
        ("border:2px solid red", ""),
        ("background:red;height:50%", f'<div {XHTML} style="background:blue;height:50%"></div>'),
        ("", f'<p {XHTML} style="background:red;height:2px"></p>'),
        ("background:red", "A word"),
        ("", "A word"),
        ("", '<img src="data:image/png,x"/>'),
    ],
)
def test_other_html_is_a_reason(style: str, inside: str) -> None:
    with pytest.raises(ValueError, match="can't be rendered as in a browser: its HTML"):
        render_svg(svg_of('<rect width="3" height="3"/>' + html(style, inside)), 16)


def test_html_that_a_style_sheet_may_paint_is_a_reason() -> None:
    body = f'<style>.a{{background:red}}</style><foreignObject width="9" height="9"><div {XHTML} class="a"></div></foreignObject>'
    with pytest.raises(ValueError, match="can't be rendered as in a browser: its HTML"):
        render_svg(svg_of('<rect width="3" height="3"/>' + body), 16)
