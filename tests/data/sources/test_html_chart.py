import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from flowmodel.data.sources import html_chart
from flowmodel.data.sources.config import SOURCE, HtmlChartSource
from flowmodel.data.sources.context import Reading, SourceContext
from flowmodel.data.sources.ingest import ingest_icons
from flowmodel.errors import FlowmodelError
from flowmodel.images.decode import decode_png
from flowmodel.images.rgba import encode_png
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import ICONS, read_ok_icons
from tests.data.helpers import BLUE, GREEN, RED, plain
from tests.data.sources.chart_page import Row, chart_page, data_uri
from tests.data.sources.faulty_server import Answer, FaultyServer, PatientClock

SQUARES = {name: encode_png(plain(color)) for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE))}
CHART = chart_page(
    [
        Row("1F600", "grinning face", [SQUARES["red"], SQUARES["green"], None]),
        Row("1F9D1-200D-1F680", "astronaut", [None, SQUARES["blue"], None]),
        Row("263A-FE0F", "⊛ smiling face", [SQUARES["red"], SQUARES["red"], None]),
    ]
)


def page(body: bytes | str, **options: Any) -> Answer:
    return Answer(body if isinstance(body, bytes) else body.encode(), mime="text/html; charset=utf-8", **options)


def square(name: str, **options: Any) -> Answer:
    return Answer(SQUARES[name], mime="image/png", **options)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def log() -> list[str]:
    return []


Read = Callable[..., Reading]


@pytest.fixture
def read(server: FaultyServer, tmp_path: Path, log: list[str]) -> Read:
    """Reads the server's page `/` with options of the entry, without waiting."""

    def read(**options: Any) -> Reading:
        return html_chart.read(
            config_of(server, **options), SourceContext(tmp_path, tmp_path / "dl", log.append), PatientClock().clock
        )

    return read


def config_of(server: FaultyServer, **options: Any) -> HtmlChartSource:
    entry = {
        "name": "page",
        "kind": "html_chart",
        "url": server.url + "/",
        "vendor": "Goog",
        "allow_hosts": ["127.0.0.1"],
    } | options
    config = SOURCE.validate_python(entry)
    assert isinstance(config, HtmlChartSource)
    return config


def table(reading: Reading) -> pd.DataFrame:
    return ICONS.build(reading.rows, where="test").to_pandas().sort_values("id").set_index("key")


def test_a_chart_gives_one_vendor_s_images_with_names_groups_and_characters(server: FaultyServer, read: Read) -> None:
    server.answers["/"] = page(CHART)
    icons = table(read())
    assert list(icons.index) == ["1f600", "1f9d1-200d-1f680", "263a"]
    assert list(icons["name"]) == ["grinning face", "astronaut", "smiling face"]
    assert list(icons["char"]) == ["😀", "🧑‍🚀", "☺️"]
    assert (icons["group"] == "smileys-emotion").all() and (icons["subgroup"] == "face-smiling").all()
    assert "grin" in icons.loc["1f600", "keywords"], "keywords come from CLDR, as the chart has none"
    for key, color in (("1f600", GREEN), ("1f9d1-200d-1f680", BLUE), ("263a", RED)):
        assert (decode_png(icons.loc[key, "png"])[:, :] == color).all()


def test_images_of_a_page_are_not_redistributable_unless_the_entry_says_so(server: FaultyServer, read: Read) -> None:
    server.answers["/"] = page(CHART)
    apple = table(read(vendor="Apple"))
    assert list(apple.index) == ["1f600", "263a"], "the cells of the other rows are empty"
    assert set(apple["license"]) == {"proprietary (Apple)"} and not apple["redistributable"].any()
    mine = table(read(license="CC0-1.0", redistributable=True))
    assert set(mine["license"]) == {"CC0-1.0"} and mine["redistributable"].all()


@pytest.mark.parametrize(
    "faults",
    [
        [Answer(status=429, headers={"Retry-After": "7"})],
        [Answer(status=500), Answer(status=503)],
        [page(CHART[:200], promised=len(CHART))],
        [Answer(reset=True)],
        [Answer(status=429), page(CHART[:999], promised=len(CHART)), Answer(status=502)],
    ],
    ids=["429", "500", "truncated", "reset", "one after another"],
)
def test_a_temporary_fault_of_the_server_costs_no_icon(server: FaultyServer, read: Read, faults: list[Answer]) -> None:
    server.answers["/"] = [*faults, page(CHART)]
    reading = read()
    assert reading.complete and set(table(reading)["status"]) == {"ok"} and len(reading.rows) == 3


def test_a_page_that_drips_is_abandoned_with_the_limit_s_name(server: FaultyServer, read: Read) -> None:
    server.answers["/"] = page(CHART, drip=0.05)
    with pytest.raises(
        FlowmodelError, match=r"source 'page': http\S+: not finished within the time limit \(timeout_seconds\); try again"
    ):
        read(timeout_seconds=0.3)


def test_a_redirect_to_a_private_address_is_not_followed(server: FaultyServer, read: Read) -> None:
    inside = server.url.replace("127.0.0.1", "localhost") + "/inside"
    server.answers |= {"/": Answer(status=302, headers={"Location": inside}), "/inside": page(CHART)}
    with pytest.raises(FlowmodelError, match=r"has the private address .*; if that is intended, name the host in allow_hosts"):
        read()
    assert server.paths() == ["/"]


def test_a_private_address_is_refused_unless_it_is_named(server: FaultyServer, read: Read) -> None:
    server.answers["/"] = page(CHART)
    with pytest.raises(FlowmodelError, match=r"private address 127.0.0.1"):
        read(allow_hosts=[])
    assert server.asked == []


@pytest.mark.parametrize(
    ("src", "reason"),
    [
        ("data:image/png;base64,!!!!", "broken data URI"),
        (data_uri(SQUARES["red"][:40]), r"1f600\.png: "),
        (data_uri(b""), "empty file"),
        (data_uri(b"GIF89a"), "not a PNG image"),
        (data_uri(b"<p>", "text/html"), "data URI of the unsupported type 'text/html'"),
        ("http://user:secret@example.org/a.png", "user name or password are not supported"),
        ("file:///etc/passwd", "only http and https are supported"),
    ],
)
def test_a_broken_image_is_quarantined_and_the_others_are_read(server: FaultyServer, read: Read, src: str, reason: str) -> None:
    server.answers["/"] = page(
        chart_page([Row("1F600", "grin", [None, src, None]), Row("1F601", "beam", [None, SQUARES["red"], None])])
    )
    reading = read()
    icons = table(reading)
    assert icons.loc["1f601", "status"] == "ok" and icons.loc["1f600", "status"] == "quarantined"
    assert re.search(reason, icons.loc["1f600", "reason"])
    assert reading.complete, "trying again would not help"


@pytest.mark.parametrize(
    ("vendor", "message"),
    [
        ("", "no vendor is given; set vendor to one of the chart's: Appl, Goog, FB"),
        ("Wind", "'Wind' is not the heading of one column"),
        ("FB", "the column FB is empty; choose another vendor"),
    ],
)
def test_a_vendor_that_the_chart_lacks_is_named_with_those_it_has(
    server: FaultyServer, read: Read, vendor: str, message: str
) -> None:
    server.answers["/"] = page(CHART)
    with pytest.raises(FlowmodelError, match=message):
        read(vendor=vendor)


def test_rows_without_a_character_of_their_own_are_omitted(server: FaultyServer, read: Read) -> None:
    codes = {"31-FE0F-20E3": "keycap: 1", "FE0F": "selector", "110000": "beyond Unicode", "D83D": "half a pair"}
    rows = [Row(code, name, [None, SQUARES["red"], None]) for code, name in codes.items()]
    server.answers["/"] = page(chart_page(rows).replace(b"U+0031", b"U+31"))
    assert list(table(read()).index) == ["0031-20e3"]


def test_a_page_that_is_not_a_chart_is_reported(server: FaultyServer, read: Read) -> None:
    server.answers["/"] = page("<title>Sign in</title><img src=a.png>")
    with pytest.raises(FlowmodelError, match=r"not an emoji chart in Unicode's layout .*'Sign in', 0 tables.*; .*layout: images"):
        read()
    server.answers["/"] = Answer(status=404)
    with pytest.raises(FlowmodelError, match=r"the server responded with 404 Not Found; correct its entry in sources\.yaml"):
        read()


GALLERY = """<base href="/art/"><figure><img src="red.png" alt="a red thing"></figure>
<figure><img src="/art/green.png"><figcaption>Green <b>leaf</b></figcaption></figure>
<figure><img src="1f680.png" title="🚀"></figure><img src="red.png" alt="crimson"><img alt="no address">
<a rel="next" href="../more">more</a>"""


def gallery(server: FaultyServer) -> None:
    server.answers |= {"/": page(GALLERY), "/art/red.png": square("red"), "/art/green.png": square("green")}
    server.answers |= {"/art/1f680.png": square("blue"), "/more": page("<img src=/art/late.png alt=late>")}
    server.answers["/art/late.png"] = square("red")


def test_any_page_gives_its_images_with_their_captions(server: FaultyServer, read: Read) -> None:
    gallery(server)
    icons = table(read(layout="images", vendor=""))
    assert list(icons.index) == ["1f680", "green", "red"]
    assert list(icons.loc["red", "captions"]) == ["a red thing", "crimson"], "shown twice, with two captions"
    assert list(icons.loc["green", "captions"]) == ["Green leaf"]
    rocket = icons.loc["1f680"]
    assert (rocket["name"], rocket["char"], list(rocket["captions"])) == ("rocket", "🚀", [])
    assert server.paths() == ["/", "/art/red.png", "/art/green.png", "/art/1f680.png"] and server.most_at_once == 1


def test_selectors_choose_images_captions_and_the_next_page(server: FaultyServer, read: Read) -> None:
    gallery(server)
    icons = table(read(layout="images", item="figure:nth-of-type(2), body > img", next_page="a[rel=next]", caption="figcaption"))
    assert list(icons.index) == ["green", "late", "red"]
    assert icons.loc["green", "name"] == "Green leaf"
    assert icons.loc["late", "status"] == "quarantined" and "has no name" in icons.loc["late", "reason"]


@pytest.mark.parametrize("field", ["item", "caption", "next_page"])
def test_a_wrong_selector_is_named(server: FaultyServer, read: Read, field: str) -> None:
    gallery(server)
    with pytest.raises(FlowmodelError, match=rf"{field}: '\[\[' is not a supported CSS selector"):
        read(layout="images", **{field: "[["})


def test_a_selector_that_finds_nothing_is_reported(server: FaultyServer, read: Read) -> None:
    gallery(server)
    with pytest.raises(FlowmodelError, match=r"the selector 'img\.emoji' finds no image; correct 'item'"):
        read(layout="images", item="img.emoji")


def test_no_more_images_are_taken_than_the_entry_allows(server: FaultyServer, read: Read, log: list[str]) -> None:
    gallery(server)
    assert len(read(layout="images", max_icons=2).rows) == 2
    assert any("first 2 images" in line for line in log)


def test_an_index_that_leads_elsewhere_or_in_circles_ends(server: FaultyServer, read: Read, log: list[str]) -> None:
    gallery(server)
    server.answers["/more"] = page('<img src="/art/late.png" alt="late"><a rel="next" href="/">back</a>')
    assert len(read(layout="images", next_page="a[rel=next]").rows) == 4
    server.answers["/more"] = page('<img src="/art/late.png" alt="late"><a rel="next" href="http://example.org/">on</a>')
    assert len(read(layout="images", next_page="a[rel=next]").rows) == 4
    assert any("http://example.org/: not followed" in line for line in log)


def test_an_image_that_fails_is_quarantined_and_only_it_is_fetched_the_next_time(server: FaultyServer, read: Read) -> None:
    gallery(server)
    server.answers["/art/green.png"] = Answer(status=500)
    first = read(layout="images")
    icons = table(first)
    assert not first.complete and list(icons["status"]) == ["ok", "unavailable", "ok"]
    assert "the server responded with 500" in icons.loc["green", "reason"]

    server.answers["/art/green.png"] = square("green")
    server.forget()
    second = read(layout="images")
    assert second.complete and set(table(second)["status"]) == {"ok"}
    assert server.paths() == ["/", "/art/green.png"]


def test_what_is_not_an_image_is_quarantined_for_good(server: FaultyServer, read: Read) -> None:
    gallery(server)
    server.answers |= {"/art/green.png": page("<p>gone</p>"), "/art/red.png": Answer(status=404)}
    reading = read(layout="images")
    reasons = table(reading)["reason"]
    assert (
        reading.complete and "supported format (its type is text/html)" in reasons["green"] and "404 Not Found" in reasons["red"]
    )


def test_the_upstream_s_change_is_seen_without_its_page(server: FaultyServer, tmp_path: Path) -> None:
    config = config_of(server, pause_seconds=0)
    context = SourceContext(tmp_path, tmp_path / "dl")
    server.answers["/"] = page(CHART, etag='"1"')
    before = html_chart.observe(config, context)
    assert before == html_chart.observe(config, context) and before.version == '"1"'
    server.answers["/"] = page(CHART, etag='"2"')
    assert html_chart.observe(config, context) != before
    assert {asked.method for asked in server.asked if asked.path == "/"} == {"HEAD"}


def test_a_table_is_not_made_again_while_the_page_is_the_same(server: FaultyServer, tmp_path: Path) -> None:
    config, context, out = config_of(server, pause_seconds=0), SourceContext(tmp_path, tmp_path / "dl"), tmp_path / "page"
    server.answers["/"] = page(CHART, etag='"1"')
    assert not ingest_icons(config, context, out).unchanged
    assert ingest_icons(config, context, out).unchanged
    server.answers["/"] = page(chart_page([Row("1F600", "grin", [None, SQUARES["red"], None])]), etag='"2"')
    again = ingest_icons(config, context, out)
    assert not again.unchanged and list(ICONS.read(again.artifact.path)["name"]) == ["grin"]


def test_a_large_chart_is_read_whole(server: FaultyServer, read: Read) -> None:
    """As many rows as the full list has; every 50th has a distinguishable look."""
    codes = [f"{0x1F000 + number:X}" for number in range(1900)]
    shades = [encode_png(plain((number % 250, 9, 9, 255))) for number in range(1900)]
    server.answers["/"] = page(
        chart_page(Row(code, f"sign {code}", [None, shade, None]) for code, shade in zip(codes, shades, strict=True))
    )
    icons = table(read())
    assert len(icons) == 1900 and set(icons["status"]) == {"ok"}
    for number in range(0, 1900, 50):
        pixel = decode_png(icons.loc[codes[number].lower(), "png"])[0, 0]
        assert pixel[0] == number % 250


def test_images_of_other_formats_become_png(server: FaultyServer, read: Read, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "a.webp", lossless=True)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" fill="#f00"/></svg>'
    uris = [
        data_uri((tmp_path / "a.webp").read_bytes(), "image/webp"),
        data_uri(svg, "image/svg+xml"),
        "data:image/svg+xml," + svg.decode().replace("#", "%23"),
    ]
    server.answers["/"] = page(chart_page(Row(f"1F60{number}", "face", [None, uri, None]) for number, uri in enumerate(uris)))
    icons = table(read(svg_pixels=32))
    assert set(icons["status"]) == {"ok"} and list(icons["width"]) == [8, 32, 32]
    for png in icons["png"]:
        assert (decode_png(png)[2:-2, 2:-2] == (255, 0, 0, 255)).all()


def test_a_table_that_lacks_an_image_says_so_and_the_next_run_completes_it(server: FaultyServer, tmp_path: Path) -> None:
    gallery(server)
    server.answers["/"] = replace(server.answers["/"], etag='"1"')
    server.answers["/art/green.png"] = Answer(status=429, headers={"Retry-After": "3600"})
    config, context = config_of(server, layout="images", pause_seconds=0), SourceContext(tmp_path, tmp_path / "dl")
    first = ingest_icons(config, context, tmp_path / "page.parquet")
    missing = ICONS.read(first.artifact.path).set_index("key")["reason"].loc[lambda reason: reason != ""]
    assert (
        not first.complete
        and "the server responded with 429" in missing["green"]
        and "asked for a pause of 3600 s" in missing["1f680"]
    )
    server.answers["/art/green.png"] = square("green")
    second = ingest_icons(config, context, tmp_path / "page.parquet")
    assert second.complete and not second.unchanged and set(ICONS.read(second.artifact.path)["status"]) == {"ok"}
    assert ingest_icons(config, context, tmp_path / "page.parquet").unchanged


def test_two_sources_of_one_host_are_read_one_after_another(server: FaultyServer, tmp_path: Path) -> None:
    server.answers["/"] = page(CHART, drip=0.0001)
    lines: list[str] = []
    context = SourceContext(tmp_path, tmp_path / "dl", lines.append)
    configs = [config_of(server, name=f"page-{vendor.lower()}", vendor=vendor, pause_seconds=0) for vendor in ("Appl", "Goog")]
    with ThreadPoolExecutor() as executor:
        readings = list(executor.map(lambda config: html_chart.read(config, context), configs))
    assert [len(reading.rows) for reading in readings] == [2, 3]
    assert server.most_at_once == 1
    assert any("waiting until another source has been read from 127.0.0.1" in line for line in lines)


@pytest.mark.slow
def test_a_chart_of_the_whole_bundled_set_comes_through_every_fault(server: FaultyServer, read: Read, log: list[str]) -> None:
    bundled = read_ok_icons(PROJECT_ROOT / "data" / "bundled" / "noto.parquet", ["key", "name", "png"])
    chart = chart_page(Row(icon.key, icon.name, [None, icon.png, None]) for icon in bundled.itertuples())
    faults = [Answer(status=429, headers={"Retry-After": "5"}), Answer(status=500), page(chart[:-1000], promised=len(chart))]
    server.answers["/"] = [*faults, page(chart)]
    icons = table(read())
    assert set(icons["status"]) == {"ok"} and sum("trying again" in line for line in log) == 3
    assert icons.loc[bundled["key"], "png"].tolist() == bundled["png"].tolist()


PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


@pytest.mark.parametrize(
    "image",
    [
        f'<img src="{PIXEL}" data-src="/art/%s.png" alt="a %s kite">',
        '<img src="/wait.gif" data-original="/art/%s.png" alt="a %s kite">',
        '<img srcset="/small.png 1x, /art/%s.png 2x" alt="a %s kite">',
        f'<img src="{PIXEL}" data-srcset="/art/%s.png 640w, /small.png 64w" alt="a %s kite">',
        f'<picture><source srcset="/art/%s.png"><img src="{PIXEL}" alt="a %s kite"></picture>',
    ],
)
def test_images_that_are_loaded_later_are_the_real_ones(server: FaultyServer, read: Read, image: str) -> None:
    server.answers["/"] = page("".join(image % (name, name) for name in SQUARES))
    server.answers |= {f"/art/{name}.png": square(name) for name in SQUARES}
    icons = table(read(layout="images"))
    assert icons["name"].to_dict() == {name: f"a {name} kite" for name in sorted(SQUARES)}
    assert [decode_png(icons.loc[name, "png"])[0, 0].tolist() for name in ("red", "green", "blue")] == [
        list(RED),
        list(GREEN),
        list(BLUE),
    ]


def test_one_image_with_many_captions_is_omitted_and_logged(server: FaultyServer, read: Read, log: list[str]) -> None:
    waiting = "".join(f'<img src="/wait.png" alt="thing {number}">' for number in range(4))
    server.answers |= {"/": page(waiting + "<img src=/art/red.png alt=red>"), "/art/red.png": square("red")}
    assert list(table(read(layout="images")).index) == ["red"]
    assert any("/wait.png: omitted, because it is a placeholder for other images" in line for line in log)
    server.answers["/"] = page(waiting)
    with pytest.raises(FlowmodelError, match="shows the same image for all captions"):
        read(layout="images")


def test_numbers_on_a_page_are_not_code_points(server: FaultyServer, read: Read) -> None:
    server.answers["/"] = page("<img src=/2708.png alt=lamp><img src=/2615.png alt=table>")
    server.answers |= {"/2708.png": square("red"), "/2615.png": square("blue")}
    assert table(read(layout="images"))["name"].to_dict() == {"icon-2615": "table", "icon-2708": "lamp"}
