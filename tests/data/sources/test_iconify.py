import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flowmodel.data.sources import iconify
from flowmodel.data.sources.config import IconifySource
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.iconify_svg import Icon, icon_svg, resolve_icons
from flowmodel.errors import FlowmodelError
from flowmodel.images.decode import decode_png
from flowmodel.images.svg.render import render_svg
from flowmodel.tables import ICONS
from tests.data.sources.packages import put_in_downloads
from tests.data.sources.registry import Registry

# Four quarters of four colors on a 4 x 2 box that starts at (10, 20): all rotations and flips differ.
QUARTERS = "".join(
    f'<path fill="{color}" d="M{10 + 2 * (i % 2)} {20 + i // 2}h2v1h-2z"/>'
    for i, color in enumerate(["red", "lime", "blue", "black"])
)
BOX = (10, 20, 4, 2)  # left, top, width, height
DOT = '<rect width="16" height="16" fill="{}"/>'


@pytest.fixture
def context(tmp_path: Path) -> SourceContext:
    return SourceContext(root=tmp_path, downloads=tmp_path / "downloads")


def read(context: SourceContext, icons: Any, info: Any = None, **more: Any) -> pd.DataFrame:
    fields = {key: more.pop(key) for key in list(more) if key in IconifySource.model_fields}
    files = {"package/icons.json": icons, "package/info.json": info if info is not None else {"license": {"spdx": "MIT"}}}
    files |= {f"package/{name}.json": content for name, content in more.items()}
    put_in_downloads(context, "@iconify-json/tiny", "1.0.0", files)
    entry = {"name": "tiny", "kind": "iconify", "set": "tiny", "version": "1.0.0", "svg_pixels": 16, **fields}
    rows = iconify.read(IconifySource.model_validate(entry), context).rows
    return ICONS.build(rows, where="test").to_pandas().set_index("key")


def drawn(icon: Icon, pixels: int = 64) -> NDArray[np.uint8]:
    return decode_png(render_svg(icon_svg(icon, "#000000"), pixels)[0])


def color_of(icons: pd.DataFrame, key: str) -> list[int]:
    return decode_png(icons["png"][key])[8, 8].tolist()


@pytest.mark.parametrize("rotate", range(4))
@pytest.mark.parametrize("h_flip", [False, True])
@pytest.mark.parametrize("v_flip", [False, True])
def test_an_icon_is_flipped_and_then_turned_clockwise(rotate: int, h_flip: bool, v_flip: bool) -> None:
    plain = drawn(Icon(QUARTERS, *BOX))
    assert plain.shape == (32, 64, 4)
    expected = plain[:, ::-1] if h_flip else plain
    expected = expected[::-1] if v_flip else expected
    expected = np.rot90(expected, -rotate)
    turned = drawn(Icon(QUARTERS, *BOX, rotate=rotate, h_flip=h_flip, v_flip=v_flip))
    assert np.array_equal(turned, expected)


def resolved(data: dict[str, Any]) -> dict[str, Icon]:
    icons = resolve_icons(data)
    assert all(isinstance(icon, Icon) for icon in icons.values())
    return icons  # type: ignore[return-value]


def test_sizes_come_from_alias_icon_set_and_default_in_this_order() -> None:
    data = {
        "width": 32,
        "icons": {"a": {"body": "A"}, "b": {"body": "B", "height": 8, "left": -1}},
        "aliases": {"c": {"parent": "b", "height": 9}, "d": {"parent": "c", "top": 2}},
    }
    icons = resolved(data)
    boxes = {name: (icon.left, icon.top, icon.width, icon.height) for name, icon in icons.items()}
    assert boxes == {"a": (0, 0, 32, 16), "b": (-1, 0, 32, 8), "c": (-1, 0, 32, 9), "d": (-1, 2, 32, 9)}
    assert icons["d"].body == "B"


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=5))
def test_turns_of_a_chain_of_aliases_add_up_and_flips_cancel_out(steps: list[tuple[int, bool, bool]]) -> None:
    entries = [{"rotate": rotate, "hFlip": h, "vFlip": v} for rotate, h, v in steps]
    aliases = {f"i{k}": {"parent": f"i{k - 1}", **entry} for k, entry in enumerate(entries) if k}
    icons = resolve_icons({"icons": {"i0": {"body": "", **entries[0]}}, "aliases": aliases})
    last = icons.get(f"i{len(steps) - 1}")
    if isinstance(last, Icon):  # else it shows its parent's image
        expected = (sum(s[0] for s in steps) % 4, sum(s[1] for s in steps) % 2 == 1, sum(s[2] for s in steps) % 2 == 1)
        assert (last.rotate, last.h_flip, last.v_flip) == expected


def test_hidden_icons_and_aliases_with_the_same_image_have_no_row(context: SourceContext) -> None:
    data = {
        "icons": {"car": {"body": DOT.format("red")}, "old": {"body": DOT.format("red"), "hidden": True}},
        "aliases": {
            "auto": {"parent": "car"},
            "motor-car": {"parent": "auto"},
            "of-old": {"parent": "old"},
            "shown-old": {"parent": "old", "hidden": False},
            "car-left": {"parent": "car", "hFlip": True},
            "gone-left": {"parent": "car", "hFlip": True, "hidden": True},
        },
    }
    icons = read(context, data)
    assert icons["keywords"].map(list).to_dict() == {"car": ["auto", "motor car"], "shown-old": [], "car-left": []}


def test_names_groups_license_and_origin_are_those_of_the_set(context: SourceContext) -> None:
    data = {"icons": {"big-red-dot": {"body": DOT.format("#f00")}, "blue": {"body": DOT.format("#00f")}}}
    metadata = {"categories": {"Shapes & Dots": ["big-red-dot"], "Later": ["big-red-dot", "nothing"]}}
    icons = read(context, data, metadata=metadata)
    dot = icons.loc["big-red-dot"]
    assert (dot["name"], dot["group"], dot["char"]) == ("big red dot", "shapes-dots", "")
    assert (dot["license"], dot["origin"]) == ("MIT", "@iconify-json/tiny 1.0.0")
    assert (dot["width"], dot["height"]) == (16, 16)
    assert color_of(icons, "big-red-dot") == [255, 0, 0, 255]
    assert icons["group"]["blue"] == ""


def test_code_points_become_keys_and_numbers_of_a_font_do_not(context: SourceContext) -> None:
    names = ["waving-hand", "waving-hand-dark", "arrow", "a", "info", "logo", "second-wave", "twice"]
    data = {"icons": {name: {"body": DOT.format("red")} for name in names}, "aliases": {"hello": {"parent": "info"}}}
    chars = {
        "1f44b": "waving-hand",
        "1f44b-1f3ff": "waving-hand-dark",
        "2b0c": "arrow",
        "61": "a",
        "2139": "hello",  # of a name for the same image
        "e001": "logo",
        "1f44b-fe0f": "second-wave",
        "f0001": "twice",
        "2764": "twice",
    }
    icons = read(context, data, chars=chars)
    assert dict(zip(icons["name"], icons.index, strict=True)) == {
        "waving hand": "1f44b",
        "waving hand dark": "1f44b-1f3ff",
        "arrow": "2b0c",
        "a": "a",
        "info": "2139",
        "logo": "logo",
        "second wave": "second-wave",
        "twice": "2764",
    }
    dark = icons.loc["1f44b-1f3ff"]
    assert (dark["char"], dark["base_key"], dark["skin_tone"], dark["group"]) == ("👋🏿", "1f44b", "dark", "people-body")
    assert "hello" in dark["keywords"]
    assert icons["char"]["logo"] == ""
    unicode = read(context, data, chars=chars, names="unicode", skin_tones=False)
    assert unicode["name"].to_dict() | {"a": "a"} == unicode["name"].to_dict()
    assert (unicode["name"]["1f44b"], unicode["name"]["2139"]) == ("waving hand", "information")
    assert "1f44b-1f3ff" not in unicode.index


def test_an_emoji_set_is_also_matched_by_name_and_another_set_is_not(context: SourceContext) -> None:
    data = {"icons": {"waving-hand-medium-dark": {"body": DOT.format("red")}, "dove": {"body": DOT.format("red")}}}
    assert set(read(context, data, {"category": "Emoji"}).index) == {"1f44b-1f3fe", "1f54a"}
    assert set(read(context, data, {"category": "General"}).index) == {"waving-hand-medium-dark", "dove"}


def test_keys_are_unique_even_if_a_slug_looks_like_a_code_point(context: SourceContext) -> None:
    icons = {name: {"body": DOT.format("red")} for name in ("A", "a", "2764", "heart", "日本", "!")}
    found = read(context, {"icons": icons}, chars={"2764": "heart"})
    assert found.index.tolist() == ["a", "a-2", "2764-2", "2764", "日本", "icon"]


def test_one_color_sets_are_black_or_of_the_chosen_color(context: SourceContext) -> None:
    line = '<g fill="currentColor"><path d="M0 0h16v16H0z"/></g>'
    data = {"icons": {"dot": {"body": DOT.format("currentColor")}, "line": {"body": line}}}
    assert color_of(read(context, data), "dot") == [0, 0, 0, 255]
    chosen = read(context, data, color="#1E90FF")
    assert color_of(chosen, "dot") == color_of(chosen, "line") == [0x1E, 0x90, 0xFF, 255]


def test_an_icon_that_cannot_be_drawn_is_quarantined_and_the_rest_is_read(context: SourceContext) -> None:
    data = {
        "icons": {
            "good": {"body": '<use xlink:href="#r"/><rect id="r" width="16" height="16"/>'},
            "unclosed": {"body": "<g>"},
            "empty": {},
            "flat": {"body": "", "height": 0},
            "wordy": {"body": "", "width": "wide"},
            "endless": {"body": "", "width": float("inf")},
            "tilted": {"body": "", "rotate": 0.5},
            "outside": {"body": '<image href="/etc/passwd"/>'},
            "list": [],
        },
        "aliases": {"orphan": {"parent": "nobody"}, "ouroboros": {"parent": "ouroboros"}, "broken": 3},
    }
    icons = read(context, data)
    assert icons.index[icons["status"] == "ok"].tolist() == ["good"]
    reasons = icons["reason"].to_dict()
    assert reasons["unclosed"].startswith("unclosed.svg: corrupt SVG (Opening and ending tag mismatch")
    assert reasons["empty"] == "empty.svg: has no image (body)"
    assert reasons["flat"] == "flat.svg: its size is 16 x 0"
    assert reasons["wordy"] == "wordy.svg: its width is not a number: 'wide'"
    assert reasons["endless"] == "endless.svg: its width is not a number: 'inf'"
    assert reasons["tilted"] == "tilted.svg: its rotate is not an integer: '0.5'"
    assert reasons["outside"] == "outside.svg: refers to another file (/etc/passwd); embed it"
    assert reasons["orphan"] == "orphan.svg: is an alias of 'nobody', which is not in the set"
    assert reasons["ouroboros"] == "ouroboros.svg: is a circular alias"
    assert {"list", "broken"} <= set(icons.index)


@pytest.mark.parametrize(
    ("icons", "complaint"),
    [
        (b"{", "icons.json is not valid JSON"),
        ([], "icons.json is not a JSON object"),
        ({"prefix": "x"}, "icons.json contains no icons"),
        ({"icons": []}, "icons.json contains no icons"),
    ],
)
def test_a_package_that_is_not_a_set_gives_one_clear_line(icons: Any, complaint: str, context: SourceContext) -> None:
    with pytest.raises(FlowmodelError, match=rf"iconify-json-tiny-1.0.0.tgz: {complaint}"):
        read(context, icons)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.floats() | st.sampled_from(["a", "b", "<g/>"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "body", "parent", "width", "rotate", "hFlip", "hidden"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_one_variant_of_a_set_has_the_names_without_its_suffix(context: SourceContext) -> None:
    icons = {
        name: {"body": DOT.format(color)} for name, color in (("car", "red"), ("car-flat", "blue"), ("flat-fish-flat", "lime"))
    }
    metadata = {"suffixes": {"": "Duo", "flat": "Flat"}, "categories": {"Travel & Places": ["car", "car-flat"]}}
    flat = read(context, {"icons": icons}, metadata=metadata, variant="flat", chars={"1f41f": "flat-fish-flat"})
    assert list(flat["name"]) == ["car", "flat fish"] and color_of(flat, "car") == [0, 0, 255, 255]
    assert flat.index[1] == "1f41f" and flat["group"]["car"] == "travel-places"
    duo = read(context, {"icons": icons}, metadata=metadata, variant="Duo")
    assert list(duo["name"]) == ["car"] and color_of(duo, "car") == [255, 0, 0, 255]
    assert len(read(context, {"icons": icons}, metadata=metadata)) == 3
    with pytest.raises(FlowmodelError, match="variant: line: @iconify-json/tiny has no such variant; it has Duo, Flat"):
        read(context, {"icons": icons}, metadata=metadata, variant="line")
    with pytest.raises(FlowmodelError, match="it has none"):
        read(context, {"icons": icons}, variant="line")


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from("abc"), JSON, min_size=1), JSON)
def test_icons_of_any_form_never_raise(icons: Any, aliases: Any) -> None:
    for icon in resolve_icons({"icons": icons, "aliases": aliases}).values():
        if isinstance(icon, Icon):
            with contextlib.suppress(ValueError):
                icon_svg(icon, "#000000")


def test_observing_tells_a_newer_version_and_fetches_no_package(
    context: SourceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry()
    try:
        monkeypatch.setenv("npm_config_registry", registry.url)
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
        registry.add("@iconify-json/tiny", "1.2.0", io.BytesIO(b"never fetched").getvalue())
        entry = {"name": "tiny", "kind": "iconify", "set": "tiny", "version": "1.0.0"}
        seen = iconify.observe(IconifySource.model_validate(entry), context)
        assert (seen.fingerprint, seen.version, seen.newer) == (["@iconify-json/tiny", "1.0.0", ""], "1.0.0", "1.2.0")
        assert registry.requests == ["/@iconify-json/tiny"]
        same = iconify.observe(IconifySource.model_validate({**entry, "version": "1.2.0"}), context)
        assert same.newer == ""
    finally:
        registry.close()
