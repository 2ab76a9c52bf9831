"""Charts in a page."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from flowmodel.evaluation.html.charts import Line, LineChart, bars


@pytest.fixture(scope="module")
def chart():
    lines = [
        Line("train", "trained <icons> & more", [1, 2, 4], [0.1, 0.5, 0.9], [0, 0.4, 0.8], [0.2, 0.6, 1.0]),
        Line("something new", "other", [1, 2, 4], [0.2, 0.2, 0.2]),
    ]
    return LineChart("Quality", "evaluations", "share", lines, [1, 2, 4], log_x=True, shares=True, marked_x=2).draw("one")


def test_a_chart_is_one_svg_that_is_well_formed_and_says_what_it_shows(chart):
    root = ElementTree.fromstring(chart.svg)
    assert (
        root.tag.endswith("svg") and root.get("role") == "img" and root.get("aria-label") == "Quality: share against evaluations"
    )
    texts = "".join(root.itertext())
    assert "trained <icons> & more" in texts and "the recipe's" in texts and "100%" in texts


def test_colors_are_the_pages_own_so_that_dark_mode_turns_them(chart):
    assert {"--series-train", "--series-other", "--ink-soft", "--line"} <= set(re.findall(r"var\((--[a-z-]+)\)", chart.svg))
    assert "#0102" not in chart.svg


def test_a_chart_loads_nothing_and_brings_no_style_or_date_of_its_own(chart):
    addresses = set(re.findall(r"https?://[^\"' ]+", chart.svg)) - {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert addresses == set() and not re.search("@font-face|<style|<image|<metadata", chart.svg)


def test_the_same_chart_is_the_same_text_and_two_charts_share_no_id():
    line = [Line("all", "all", [1, 2], [3, 4])]
    one, again, other = (LineChart("T", "x", "y", line).draw(name).svg for name in ("a", "a", "b"))
    assert one == again
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0] and not ids[0] & ids[1]
    referred = set(re.findall(r'(?: (?:xlink:)?href="|url\()#([^")]+)', one))
    assert referred == ids[0]


def test_bars_are_as_many_as_there_are_values_with_their_shares_beside_them():
    values = {"food & drink": {"train": 0.5, "unseen_concept": 0.25}, "flags": {"train": 1.0}}
    chart = bars("b", "Recognized", "share", values, legend=str)
    texts = [text.strip() for text in ElementTree.fromstring(chart.svg).itertext() if text.strip()]
    assert {"food & drink", "flags", "50%", "25%", "100%"} <= set(texts)
