"""The rendered moment of animated images."""

import numpy as np
import pytest

from flowmodel.images.decode import decode_png
from flowmodel.images.svg.effects import interpolate
from flowmodel.images.svg.render import render_svg
from flowmodel.images.svg.resolve import resolve
from tests.images.svg.drawing import BLUE, NOTHING, RED, notes, pixel, svg_of

END, MOMENT = "the final state of its animation", "one moment of an endless animation"


def rect(animation: str, attributes: str = 'fill="red"') -> str:
    return f'<rect width="16" height="16" {attributes}>{animation}</rect>'


@pytest.mark.parametrize(
    "body",
    [
        rect('<animate attributeName="opacity" values="0;1" dur="1s" fill="freeze"/>', 'fill="red" opacity="0"'),
        rect('<animate attributeName="opacity" from="0" to="1" begin="2s" dur="200ms" fill="freeze"/>', 'fill="red" opacity="0"'),
        rect('<animate attributeName="fill" to="red" dur="00:01" fill="freeze"/>', 'fill="blue"'),
        rect('<animate attributeName="fill" values="blue;#ff0000" dur="1s" calcMode="discrete" fill="freeze"/>', 'fill="blue"'),
        rect('<animate attributeName="fill" values="#00f;#0f0;#f00" keyTimes="0;.5;1" dur="1s" fill="freeze"/>', 'fill="#00f"'),
        rect('<set attributeName="fill" to="red" begin="1s" fill="freeze"/>', 'fill="blue"'),
        rect('<set attributeName="fill" to="red"/>', 'fill="blue"'),
        rect('<animate attributeName="fill" to="blue" begin="click" dur="1s" fill="freeze"/>'),
        rect('<animate attributeName="fill" to="blue" dur="1s"/>'),
        rect('<animate attributeName="width" by="12" dur="1s" fill="freeze"/>', 'fill="red" style="width:4px"'),
        '<path stroke="red" stroke-width="9" stroke-dasharray="16" stroke-dashoffset="16" d="M0 8h16">'
        '<animate attributeName="stroke-dashoffset" values="16;0" dur=".4s" fill="freeze"/></path>',
        '<path fill="red" d="M0 0"><animate attributeName="d" to="M0 0h16v16h-16z" dur="1s" fill="freeze"/></path>',
        '<rect id="r" width="16" height="16"/><animate href="#r" attributeName="fill" to="red" dur="1s" fill="freeze"/>',
        rect(
            '<animate id="one" attributeName="fill" to="blue" dur="1s" fill="freeze"/>'
            '<animate attributeName="fill" to="red" begin="one.end+.5s" dur="1s" fill="freeze"/>',
            'fill="green"',
        ),
        rect(
            '<animateTransform attributeName="transform" type="translate" values="0;-40" dur="1s" fill="freeze"/>',
            'fill="red" x="40"',
        ),
        rect(
            '<animateTransform attributeName="transform" type="scale" additive="sum" values="1;2" dur="1s" fill="freeze"/>',
            'fill="red" transform="translate(-8)"',
        ),
        rect('<animateMotion path="M0 0L-40 0" dur="1s" fill="freeze"/>', 'fill="red" x="40"'),
        '<path id="way" d="M9 9H-40" fill="none"/>'
        + rect('<animateMotion dur="1s" fill="freeze"><mpath href="#way"/></animateMotion>', 'fill="red" x="40" y="-9"'),
    ],
)
def test_of_smil_that_ends_the_end_is_shown(body: str) -> None:
    assert pixel(body) == RED
    assert notes(body) in (END, "")


@pytest.mark.parametrize(
    "rules",
    [
        ".a{opacity:0;animation:in .3s forwards} @keyframes in{to{opacity:1}}",
        ".a{animation:dye 1s 2s both} @keyframes dye{from{fill:blue}50%{fill:lime}to{fill:red}}",
        ".a{animation:dye 1s;fill:red} @keyframes dye{to{fill:blue}}",
        ".a{animation:dye 1s 3 alternate forwards;fill:blue} @keyframes dye{to{fill:red}}",
        ".a{animation:dye 1s 2 alternate forwards} @keyframes dye{from{fill:red}to{fill:blue}}",
        ".a{animation:dye 1s reverse forwards} @keyframes dye{from{fill:red}to{fill:blue}}",
        ".a{animation-name:in;animation-duration:1s;animation-fill-mode:both;opacity:0} @keyframes in{to{opacity:1}}",
        ".a{--t:1s;animation:in var(--t) both;opacity:0} @keyframes in{to{opacity:1}}",
        ".a{animation:move 1s forwards;x:40px} @keyframes move{to{transform:translateX(-40px)}}",
        ".a{animation:nobody 1s forwards;fill:red}",
        ".a{animation:none;fill:red} @keyframes none{to{fill:blue}}",
        "@-webkit-keyframes in{to{opacity:1}} .a{opacity:0;animation:in .3s forwards}",
    ],
)
def test_of_a_css_animation_that_ends_the_end_is_shown(rules: str) -> None:
    assert pixel(f'<style>{rules}</style><rect class="a" width="16" height="16" fill="red"/>') == RED


def test_of_an_endless_pulse_a_moment_is_shown_in_which_it_is_seen() -> None:
    pulse = '<animate attributeName="opacity" values="0;1;0" dur="2s" repeatCount="indefinite"/>'
    assert pixel(rect(pulse))[3] > 100
    assert notes(rect(pulse)) == MOMENT


def test_of_an_endless_css_animation_a_moment_is_shown_in_which_it_is_seen() -> None:
    rules = "<style>rect{animation:in 1s linear infinite alternate} @keyframes in{from{opacity:0}to{opacity:1}}</style>"
    assert pixel(rules + rect(""))[3] > 100


def test_a_star_that_twinkles_behind_a_moon_that_is_drawn_is_seen() -> None:
    twinkle = '<animate attributeName="opacity" begin="1s" dur="6s" values="0;1;1;0;0" repeatCount="indefinite"/>'
    moon = (
        '<path d="M0 0h7v16H0z" fill="blue" opacity="0"><animate attributeName="opacity" to="1" dur="1s" fill="freeze"/></path>'
    )
    body = f'{moon}<rect x="9" width="7" height="16" fill="red" opacity="0">{twinkle}</rect>'
    assert pixel(body, 4) == BLUE and pixel(body, 12)[3] > 100
    assert notes(body) == MOMENT


def test_a_turning_image_is_whole_in_front_of_its_first_turn() -> None:
    turn = (
        '<animateTransform attributeName="transform" type="rotate" from="0 8 8" to="360 8 8" dur="1s" repeatCount="indefinite"/>'
    )
    body = f'<g><rect width="8" height="8" fill="red"/>{turn}</g>'
    assert pixel(body, 4, 4) == RED and pixel(body, 12, 12) == NOTHING


def test_rain_that_falls_once_is_seen() -> None:
    fall = '<animate attributeName="opacity" values="0;1;0" dur="1s"/>'
    assert pixel(rect(fall, 'fill="red" opacity="0"'))[3] > 100


def test_animations_that_start_each_other_forever_end_here() -> None:
    loop = (
        '<animate id="a" attributeName="fill" begin="0;b.end" to="blue" dur=".001s"/>'
        '<animate id="b" attributeName="fill" begin="a.end" to="blue" dur=".001s"/>'
    )
    assert pixel(rect(loop)) in (RED, BLUE)


def test_the_tree_is_as_it_was_after_every_moment() -> None:
    image = resolve(svg_of(rect('<animate attributeName="x" values="0;9" dur="1s" repeatCount="indefinite"/>')))
    assert image.texts() == image.texts()
    assert image.root[0].get("x") is None


@pytest.mark.parametrize(
    ("first", "second", "middle"),
    [
        ("0", "10", "5"),
        ("1 2", "3,4", "2 3"),
        ("M0 0L2-2", "M2 2L4-4", "M 1 1L 3 -3"),
        ("red", "#0000ff", "rgba( 127.5,  0,  127.5,  1)"),
        ("none", "block", "block"),
        ("rotate(0)", "rotate(90 1 1)", "rotate(90 1 1)"),
    ],
)
def test_values_of_one_form_have_a_middle(first: str, second: str, middle: str) -> None:
    assert interpolate(first, second, 0.5).split() == middle.split()
    assert (interpolate(first, second, 0), interpolate(first, second, 1)) == (first, second)


def test_the_same_image_is_drawn_each_time() -> None:
    content = svg_of(rect('<animate attributeName="opacity" values="0;1;0" dur="2s" repeatCount="indefinite"/>'))
    first, second = (decode_png(render_svg(content, 32)[0]) for _ in range(2))
    assert np.array_equal(first, second)
