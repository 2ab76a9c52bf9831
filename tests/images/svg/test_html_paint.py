import pytest

from flowmodel.images.svg.render import render_svg
from tests.images.svg.drawing import BLUE, RED, notes, pixel, svg_of

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
        "background-image:none;background-color:red",
    ],
)
def test_a_plain_ground_is_drawn(style: str) -> None:
    assert pixel(html(style)) == RED


def test_what_stands_behind_html_in_a_switch_is_drawn_instead() -> None:
    body = f'<switch>{html("background:blue", "words")}<rect width="16" height="16" fill="red"/></switch>'
    assert pixel(body) == RED
    assert notes(body) == ""


@pytest.mark.parametrize("style", ["backdrop-filter:blur(2px)", "", "background:none"])
def test_html_that_paints_nothing_is_nothing(style: str) -> None:
    assert pixel(f'<rect width="16" height="16" fill="blue"/>{html(style)}') == BLUE


@pytest.mark.parametrize(
    ("style", "inside"),
    [
        ("background:url(data:image/png,x)", ""),
        ("background:radial-gradient(red, blue)", ""),
        ("background:conic-gradient(from 0deg at 10% 10%, red, blue)", ""),
        ("background:red", "A word"),
        ("", "A word"),
        ("", '<img src="data:image/png,x"/>'),
    ],
)
def test_other_html_is_a_reason(style: str, inside: str) -> None:
    with pytest.raises(ValueError, match="loses its paint: HTML"):
        render_svg(svg_of('<rect width="3" height="3"/>' + html(style, inside)), 16)
