"""Each rule of CSS with an image of its own; right values are what a browser shows."""

import pytest

from flowmodel.images.svg.render import render_svg
from tests.images.svg.drawing import BLACK, BLUE, GREEN, NOTHING, RED, notes, pixel, svg_of

RECT = '<rect class="a" id="r" width="16" height="16" fill="blue"/>'


@pytest.mark.parametrize(
    "rules",
    [
        ".a{fill:red}",
        "rect{fill:red}",
        ".a{fill:green}#r{fill:red}.a{fill:blue}",
        ".a{fill:red!important}#r{fill:blue}",
        "svg{.a{fill:red}}",
        "svg{& > .a{fill:red}}",
        ".a{fill:green;svg &{fill:red}}",
        ":is(.z, .a){fill:red}",
        ":where(#r){fill:red}",
        "svg:has(> rect) rect{fill:red}",
        "rect:nth-child(2){fill:red}",
        "rect:not(.b):last-of-type{fill:red}",
        ".nobody:focus-visible, .a{fill:red}",
        "@media screen{.a{fill:red}}",
        "@media (prefers-color-scheme: light){.a{fill:red}} @media (prefers-color-scheme: dark){.a{fill:green}}",
        "@media not print{.a{fill:red}}",
        "@media (max-width: 100px) and (min-width: 10px){.a{fill:red}} @media (min-width: 100px){.a{fill:green}}",
        "@media print, screen{.a{fill:red}} @media print{.a{fill:green}}",
        "@supports (fill: red){.a{fill:red}} @supports not (fill: red){.a{fill:green}}",
        ".a{fill:red} @layer base{#r{fill:green}}",
        ":root{--ink:red} .a{fill:var(--ink)}",
        "svg{--a:var(--b);--b:red} rect{fill:var(--a)}",
        ".a{fill:var(--missing, red)}",
        ".a{fill:var(--missing, var(--missing-too, red))}",
        ".a{--mine:red;fill:var(--mine)} svg{--mine:green}",
        "@property --p{syntax:'<color>';inherits:true;initial-value:red} .a{fill:var(--p)}",
        ".a{fill:red;fill:nonsense;fill:rgb(1 2)}",
        ".a{fill:rgb(calc(250 + 5) 0 0)}",
        ".a{fill:currentColor;color:red}",
        "svg{color:red} .a{fill:color-mix(in srgb, currentColor, currentColor)}",
        "svg{fill:red} .a{fill:inherit}",
        ".a{fill:light-dark(red, green)}",
        "svg{color-scheme:dark} .a{fill:light-dark(green, red)}",
        ".a{fill:color(display-p3 1 0 0)}",
        ".a{fill:red;fill:color(display-p3 0.9 0.3 0.2)}",
        ".a{fill:hsl(0turn 100% 50%)}",
        ".a{fill:none;stroke:red;stroke-width:calc(2 * 16px)}",
        ".a{fill:green;opacity:0;opacity:wrong;opacity:1;fill:red}",
        "@charset 'utf-8';@font-face{font-family:x}.a{fill:red",
        "<!-- .a{fill:red} -->",
    ],
)
def test_the_value_is_the_one_that_a_browser_takes(rules: str) -> None:
    style = f"<style><![CDATA[{rules}]]></style>"
    assert pixel(svg_of(style + RECT, 'viewBox="0 0 16 16" width="50"')) == RED


@pytest.mark.parametrize(
    "shape",
    [
        '<rect width="16" height="16" fill="red" style="fill:"/>',
        '<rect width="16" height="16" fill="blue" style="fill:red;fill:blurple"/>',
        '<rect width="16" height="16" fill="#f00" style="fill:#f00;fill:color(display-p3 0.2 1 0.3)"/>',
        '<rect width="16" height="16" fill="#f00" style="fill:color(display-p3 0.2 1 0.3)"/>',
        '<rect width="16" height="16" fill="url(#missing) red"/>',
        '<rect width="16" height="16" fill="context-fill red"/>',
        '<g fill="red"><rect width="16" height="16" fill="undefined"/></g>',
        '<g style="--x:red"><rect width="16" height="16" fill="var(--x)"/></g>',
        '<style media="print">rect{fill:green}</style><rect width="16" height="16" fill="red"/>',
        '<style type="text/less">rect{fill:green}</style><rect width="16" height="16" fill="red"/>',
        '<linearGradient id="g"><stop stop-color="var(--x, red)"/></linearGradient><rect width="16" height="16" fill="url(#g)"/>',
        '<linearGradient id="g"><stop style="stop-color:red;stop-color:rgb(from red r g b)"/></linearGradient>'
        '<rect width="16" height="16" fill="url(#g)"/>',
    ],
)
def test_attributes_and_styles_fall_back_as_in_a_browser(shape: str) -> None:
    assert pixel(shape) == RED


@pytest.mark.parametrize(
    ("rules", "shape"),
    [
        ("circle{r:8px}", '<circle cx="8" cy="8" r="1" fill="red"/>'),
        ("circle{cx:8px;cy:calc(4px * 2)}", '<circle r="3" fill="red"/>'),
        ("rect{x:4px;y:4px;width:8px;height:50%}", '<rect fill="red"/>'),
        ('path{d:path("M0 0h16v16h-16z")}', '<path fill="red"/>'),
        ("rect{transform:translate(4px, 4px)}", '<rect width="8" height="8" fill="red"/>'),
        ("rect{translate:4px 4px}", '<rect width="8" height="8" fill="red"/>'),
        ("rect{transform:rotate(.5turn);transform-origin:8px 8px}", '<rect x="6" y="6" width="3" height="3" fill="red"/>'),
        ("rect{transform:rotate(180deg);transform-origin:center}", '<rect x="6" y="6" width="3" height="3" fill="red"/>'),
        ("rect{scale:4;transform-origin:50% 50%;transform-box:fill-box}", '<rect x="5" y="7" width="2" height="2" fill="red"/>'),
        ("path{transform:scaleX(9);transform-origin:left;transform-box:fill-box}", '<path d="M7 4h1v9H7" fill="red"/>'),
        ("rect{transform:none}", '<rect width="16" height="16" fill="red" transform="translate(99)"/>'),
    ],
)
def test_geometry_and_transforms_may_come_from_css(rules: str, shape: str) -> None:
    assert pixel(f"<style>{rules}</style>{shape}") == RED


def test_a_rule_for_the_other_scheme_or_for_paper_is_not_applied() -> None:
    dark = "<style>@media (prefers-color-scheme: dark){rect{fill:red}} @media print{rect{fill:red}}</style>"
    assert pixel(dark + '<rect width="16" height="16" fill="green"/>') == GREEN


def test_a_gradient_has_the_transform_of_the_one_that_it_refers_to() -> None:
    stops = '<stop offset=".5" stop-color="red"/><stop offset=".5" stop-color="blue"/>'
    first = (
        f'<linearGradient id="a" gradientUnits="userSpaceOnUse" x2="16" gradientTransform="translate(8)">{stops}</linearGradient>'
    )
    second = '<linearGradient id="b" href="#a"/><linearGradient id="c" xlink:href="#b"/>'
    body = f'{first}{second}<rect width="16" height="16" fill="url(#c)"/>'
    assert pixel(body, 14) == RED
    assert pixel(body.replace(' gradientTransform="translate(8)"', ""), 14) == BLUE
    loop = '<linearGradient id="a" href="#b"/><linearGradient id="b" href="#a"/><rect width="16" height="16" fill="red"/>'
    assert pixel(loop) == RED


def test_blending_survives() -> None:
    body = '<rect width="16" height="16" fill="#00f"/><rect width="16" height="16" fill="red" style="mix-blend-mode:multiply"/>'
    assert pixel(body) == BLACK


def test_an_element_that_css_hides_is_hidden() -> None:
    body = '<style>.off{display:none}</style><rect width="4" height="4"/><rect class="off" x="6" width="9" height="16"/>'
    assert pixel(body, 10) == NOTHING


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        ('<rect width="9" height="9" fill="var(--nowhere)"/>', r"fill is var\(--nowhere\), which is not defined"),
        (
            '<rect width="9" height="9" style="fill:var(--a);--a:var(--a)"/>',
            r"fill is var\(\), whose variables refer to each other",
        ),
        ('<rect width="9" height="9" stroke="rgb(from red r g b)"/>', r"stroke is rgb\(\)"),
        ('<rect width="9" height="9" fill="contrast-color(red)"/>', r"fill is contrast-color\(\)"),
        ('<stop stop-color="var(--b)"/><path d="M0 0h9v9"/>', r"stop-color is var\(--b\)"),
    ],
)
def test_a_paint_that_can_not_be_resolved_is_a_reason_and_never_black(body: str, lost: str) -> None:
    with pytest.raises(ValueError, match=f"can't be rendered as in a browser: {lost}") as caught:
        render_svg(svg_of(body), 16)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ('<rect width="9" height="9" style="clip-path:circle(40%)"/>', "ignored: clip-path with circle()"),
        ('<rect width="9" height="9" style="transform:translate(50%)"/>', "ignored: a transform that depends on layout"),
        ('<style>@import "x.css";</style><rect width="9" height="9"/>', "its external style sheet is ignored"),
        ('<rect width="9" height="9"/><use href="#gone"/>', "refers to an element that it does not contain"),
        (
            '<rect width="9" height="9"/><rect width="9" height="9" fill="url(#gone)"/>',
            "refers to an element that it does not contain",
        ),
        (
            '<rect width="9" height="9"/><image width="9" height="9" href="data:image/png;base64,AAAA"/>',
            "an embedded image can't be read",
        ),
        ('<rect width="9" height="9"/><rect width="9" height="x"/>', "ignored: an invalid height"),
        ('<rect width="9" height="9"/>', ""),
    ],
)
def test_what_else_is_omitted_is_noted(body: str, note: str) -> None:
    assert notes(body).startswith(note) and bool(notes(body)) == bool(note)


def test_notes_name_the_kind_and_nothing_of_one_icon_so_that_they_can_be_counted() -> None:
    first, second = (
        '<rect width="9" height="9"/><path d="M0 0h9v9" stroke="url(#a17)"/>',
        '<use href="#b"/><path d="M0 0h9v9"/>',
    )
    assert notes(first) == notes(second)


@pytest.mark.parametrize("depth", [5, 40])
def test_variables_that_grow_without_bound_end_soon(depth: int) -> None:
    bomb = "".join(f"--v{i + 1}:var(--v{i}) var(--v{i}) var(--v{i}) var(--v{i});" for i in range(depth))
    try:
        assert pixel(f'<rect width="16" height="16" fill="blue" style="--v0:1;{bomb}stroke-width:var(--v{depth})"/>') == BLUE
    except ValueError as error:
        assert "\n" not in str(error)


def test_a_style_sheet_that_is_a_file_of_its_own_is_noted() -> None:
    drawing = svg_of('<rect class="a" width="9" height="9"/>')
    for sheet, note in ((b'href="icon.css"', "its external style sheet is ignored"), (b"href='#own'", "")):
        assert render_svg(b'<?xml-stylesheet type="text/css" %b?>' % sheet + drawing, 16)[1] == note
