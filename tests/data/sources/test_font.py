import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fontTools.ttLib import TTFont

from flowmodel.data.sources import font
from flowmodel.data.sources.config import FontSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.font import observe
from flowmodel.data.sources.ingest import read_icons
from flowmodel.errors import FlowmodelError
from flowmodel.images.decode import decode_png
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import read_ok_icons
from tests.data.sources.font_builder import (
    color_of,
    write_cbdt,
    write_outline_font,
    write_sbix_collection,
    write_whole_collection,
)

NOTO = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
GLYPHS = {
    "1f600": "face",
    "1f44b": "hand",
    "1f44b-1f3fd": "hand_tone",
    "1f468-200d-1f469-200d-1f466": "family",
    "1f1eb-1f1f7": "france",
    "0031-20e3": "keycap",
    "1f468": "man",
    "1f469": "woman",
    "1f466": "boy",
    "1f3f4": "black_flag",
}
RUNNERS = ("1f3c3", "1f3c3-200d-27a1")


def read(path: Path, **options: object) -> pd.DataFrame:
    config = FontSource(name="font", kind="font", path=str(path), **options)
    return pd.DataFrame(read_icons(config, SourceContext(path.parent, path.parent)).rows).set_index("key")


def assert_drawn(icons: pd.DataFrame, glyphs: dict[str, str], edge: int) -> None:
    for key, glyph in glyphs.items():
        icon = icons.loc[key]
        assert (icon["status"], icon["width"], icon["height"]) == ("ok", edge, edge), key
        assert (decode_png(icon["png"])[..., :3] == color_of(glyph)).all(), key


def test_an_sbix_collection_gives_sequences_from_its_largest_strike(tmp_path: Path) -> None:
    icons = read(write_sbix_collection(tmp_path / "emoji.ttc"))
    assert_drawn(icons, GLYPHS | {"1f431": "face"}, edge=40)  # the cat is a duplicate of the face
    assert icons.index[icons["status"] == "quarantined"].tolist() == ["1f436"]
    assert icons.loc["1f436", "reason"] == "dog.png: unsupported bitmap type 'emjc'"
    assert len(icons) == len(GLYPHS) + len(RUNNERS) + 2, "lone joiners, indicators and tones are no icons"


def test_a_flip_is_the_other_glyph_mirrored(tmp_path: Path) -> None:
    icons = read(write_sbix_collection(tmp_path / "emoji.ttc"))
    left, right = (decode_png(icons.loc[key, "png"]) for key in RUNNERS)
    assert (left == right[:, ::-1]).all() and not (left == right).all()


def test_a_flag_that_the_font_lacks_is_not_its_black_flag(tmp_path: Path) -> None:
    icons = read(write_cbdt(tmp_path / "tiny.ttf"))
    assert [key for key in icons.index if key.startswith("1f3f4")] == ["1f3f4"]


@pytest.mark.parametrize(
    ("text", "license", "open_font"),
    [
        ("Licensed under the Apache License, Version 2.0", "Apache-2.0", True),
        ("https://openfontlicense.org", "OFL-1.1", True),
        ("All rights reserved; ask first", "All rights reserved; ask first", False),
        ("", "", False),
    ],
)
def test_only_an_open_license_makes_images_redistributable(tmp_path: Path, text: str, license: str, open_font: bool) -> None:
    icons = read(write_cbdt(tmp_path / "tiny.ttf", license=text))
    assert set(icons["license"]) == {license} and set(icons["redistributable"]) == {open_font}


def test_apples_artwork_is_marked_and_the_entry_overrides_it(tmp_path: Path) -> None:
    path = write_sbix_collection(tmp_path / "emoji.ttc")
    apple = read(path)
    assert set(apple["license"]) == {"proprietary (Apple)"} and not apple["redistributable"].any()
    assert set(apple["origin"]) == {"Apple Color Emoji Version 1.5"}
    mine = read(path, license="mine", redistributable=True)
    assert set(mine["license"]) == {"mine"} and mine["redistributable"].all()


def test_a_cbdt_font_gives_the_same(tmp_path: Path) -> None:
    icons = read(write_cbdt(tmp_path / "tiny.ttf"))
    assert_drawn(icons, GLYPHS, edge=24)
    assert set(icons["license"]) == {"OFL-1.1"} and icons["redistributable"].all()
    wave = icons.loc["1f44b-1f3fd"]
    assert (wave["name"], wave["skin_tone"], wave["group"]) == ("waving hand: medium skin tone", "medium", "people-body")
    assert "1f44b-1f3fd" not in read(tmp_path / "tiny.ttf", skin_tones=False).index


def test_a_font_without_bitmaps_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match=r"plain\.ttf: has no color bitmaps \(sbix or CBDT\), only glyf; use"):
        read(write_outline_font(tmp_path / "plain.ttf"))


def test_what_is_not_a_font_gives_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "text.ttf").write_bytes(b"hello, this is text and not a font")
    whole = write_sbix_collection(tmp_path / "emoji.ttc").read_bytes()
    for name, content in {"text.ttf": b"hello, this is text", "empty.ttf": b"", "cut.ttc": whole[:300]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FlowmodelError, match=rf"{name}: ") as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(FlowmodelError, match=r"nowhere\.ttf: can't be read \(No such file or directory\)"):
        read(tmp_path / "nowhere.ttf")


def assert_told(path: Path) -> None:
    """Reading and observing work, quarantine icons, or name the damaged file in one line."""
    config, context = FontSource(name="font", kind="font", path=str(path)), SourceContext(path.parent, path.parent)
    for work in (read_icons, observe):
        try:
            work(config, context)
        except FlowmodelError as error:
            assert "\n" not in str(error) and (path.name in str(error) or "has no icons" in str(error))


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9, 0.99])
def test_a_truncated_font_is_reported_or_its_icons_quarantined(tmp_path: Path, cut: float) -> None:
    whole = write_cbdt(tmp_path / "tiny.ttf").read_bytes()
    (tmp_path / "cut.ttf").write_bytes(whole[: int(len(whole) * cut)])
    assert_told(tmp_path / "cut.ttf")


@pytest.mark.parametrize("write", [write_cbdt, write_sbix_collection])
def test_a_damaged_font_is_reported_or_its_icons_quarantined(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    whole = np.frombuffer(write(tmp_path / "whole.font").read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    for number in range(40):
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), 1 + number)] = rng.integers(0, 256, 1 + number)
        (tmp_path / "damaged.font").write_bytes(damaged.tobytes())
        assert_told(tmp_path / "damaged.font")


def test_a_new_version_of_the_font_is_seen_without_reading_it(tmp_path: Path) -> None:
    path = write_cbdt(tmp_path / "tiny.ttf")
    config, context = FontSource(name="font", kind="font", path=str(path)), SourceContext(tmp_path, tmp_path)
    before = observe(config, context)
    assert before.version == "Version 1.5" and observe(config, context) == before
    status = path.stat()
    path.write_bytes(
        path.read_bytes()
        .replace(b"Version 1.5", b"Version 1.6")
        .replace("Version 1.5".encode("utf-16-be"), "Version 1.6".encode("utf-16-be"))
    )
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = observe(config, context)
    assert after.version == "Version 1.6" and after.fingerprint != before.fingerprint


def test_without_a_font_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font, "USUAL_PLACES", (str(tmp_path / "one.ttc"), str(tmp_path / "two.ttf")))
    with pytest.raises(FlowmodelError, match=r"no color emoji font in the usual places .*install fonts-noto-color-emoji"):
        observe(FontSource(name="font", kind="font"), SourceContext(tmp_path, tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not NOTO.is_file(), reason="fonts-noto-color-emoji is not installed")
def test_debians_noto_has_flags_families_and_skin_tones(tmp_path: Path) -> None:
    icons = read(NOTO)
    assert len(icons) >= 3700 and set(icons["status"]) == {"ok"}
    assert (icons["group"] == "flags").sum() >= 250
    assert (icons["skin_tone"] != "").sum() >= 1800
    assert {"1f468-200d-1f469-200d-1f467-200d-1f466", "0031-20e3", "1f1eb-1f1f7", "1f3f3-200d-1f308"} <= set(icons.index)
    heart = decode_png(icons.loc["2764", "png"]).astype(int)
    middle = heart[heart.shape[0] // 2, heart.shape[1] // 2]
    assert middle[0] > 180 and middle[1] < 100 and np.all(middle[3] == 255)


@pytest.mark.slow
def test_an_sbix_collection_of_the_whole_bundled_set_gives_every_icon_back(tmp_path: Path) -> None:
    bundled = read_ok_icons(PROJECT_ROOT / "data" / "bundled" / "noto.parquet", ["key", "char", "png"])
    images = dict(zip(bundled["char"], bundled["png"], strict=True))
    icons = read(write_whole_collection(tmp_path / "emoji.ttc", images, ppem=64))
    assert set(icons.index) == set(bundled["key"]) and set(icons["status"]) == {"ok"}
    assert icons.loc[bundled["key"], "png"].tolist() == bundled["png"].tolist()


def packed(path: Path, flavor: str) -> Path:
    web = TTFont(path)
    web.flavor = flavor
    web.save(path.with_suffix(f".{flavor}"))
    return path.with_suffix(f".{flavor}")


def read_font(path: Path) -> pd.DataFrame:
    config = FontSource(name="font", kind="font", path=str(path))
    rows = read_icons(config, SourceContext(path.parent, path.parent)).rows
    return pd.DataFrame(rows).set_index("key")[["name", "sha256", "status"]]


def test_a_web_font_gives_the_same_icons(tmp_path: Path) -> None:
    path = write_cbdt(tmp_path / "tiny.ttf")
    pd.testing.assert_frame_equal(read_font(packed(path, "woff")), read_font(path))


def test_a_web_font_that_is_packed_with_brotli_names_the_package_or_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.woff2"
    if find_spec("brotli"):
        plain = write_cbdt(tmp_path / "tiny.ttf")
        pd.testing.assert_frame_equal(read_font(packed(plain, "woff2")), read_font(plain))
    else:
        path.write_bytes(b"wOF2" + bytes(60))
        with pytest.raises(FlowmodelError, match=r"tiny\.woff2: WOFF2 fonts need .*pip install brotli"):
            read_font(path)
