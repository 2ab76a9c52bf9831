import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flowmodel.data.sources import npm
from flowmodel.data.sources.config import NpmSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.errors import FlowmodelError
from flowmodel.images.rgba import encode_png
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import ICONS
from tests.data.helpers import plain
from tests.data.sources.packages import put_in_downloads

PNG = encode_png(plain())
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><rect width="2" height="1" fill="#f00"/></svg>'


@pytest.fixture
def context(tmp_path: Path) -> SourceContext:
    return SourceContext(root=tmp_path, downloads=tmp_path / "downloads")


def read(context: SourceContext, files: dict[str, Any], package: str = "emoji-datasource-google", **fields: Any) -> pd.DataFrame:
    put_in_downloads(context, package, "1.0.0", files)
    config = NpmSource.model_validate({"name": "set", "kind": "npm", "package": package, "version": "1.0.0", **fields})
    rows = npm.read(config, context).rows
    return ICONS.build(rows, where="test").to_pandas().set_index("key")


def entry(unified: str, *, vendor: str = "google", has: bool = True, **fields: Any) -> dict[str, Any]:
    texts = {"name": "SOME NAME", "short_name": "some_name", "category": "People & Body", "subcategory": "hand-fingers-open"}
    return {**texts, "unified": unified, "image": f"{unified.lower()}.png", f"has_img_{vendor}": has, **fields}


def variant(unified: str, has: bool = True) -> dict[str, Any]:
    return {"unified": unified, "image": f"{unified.lower()}.png", "has_img_google": has}


def test_base_emoji_are_those_of_the_bundled_set(context: SourceContext) -> None:
    bundled = ICONS.read(PROJECT_ROOT / "data" / "bundled" / "noto.parquet").iloc[::200].set_index("key")
    files: dict[str, Any] = {f"package/img/google/64/{key}.png": png for key, png in bundled["png"].items()}
    files["package/emoji.json"] = [entry(key.upper(), image=f"{key}.png") for key in bundled.index]
    icons = read(context, files)
    assert icons.index.tolist() == bundled.index.tolist()
    for column in ("char", "name", "group", "subgroup", "base_key", "skin_tone", "png", "sha256", "license", "status", "width"):
        assert icons[column].tolist() == bundled[column].tolist(), column
    assert [list(words) for words in icons["keywords"]] == [list(words) for words in bundled["keywords"]]
    assert set(icons["origin"]) == {"emoji-datasource-google 1.0.0"}


WAVES = {
    "package/emoji.json": [
        entry("1F44B", skin_variations={"1F3FD": variant("1F44B-1F3FD"), "1F3FF": variant("1F44B-1F3FF", False)})
    ],
    "package/img/google/64/1f44b.png": PNG,
    "package/img/google/64/1f44b-1f3fd.png": PNG,
    "package/img/google/64/1f44b-1f3ff.png": PNG,
    "package/img/apple/64/1f44b.png": b"not wanted",
}


def test_variants_with_a_skin_tone_have_names_of_their_own_and_can_be_left_out(context: SourceContext) -> None:
    icons = read(context, WAVES)
    assert icons["name"].to_dict() == {"1f44b": "waving hand", "1f44b-1f3fd": "waving hand: medium skin tone"}
    assert list(icons.loc["1f44b-1f3fd", ["char", "base_key", "skin_tone"]]) == ["👋🏽", "1f44b", "medium"]
    assert read(context, WAVES, skin_tones=False).index.tolist() == ["1f44b"]


def test_a_listed_image_that_is_absent_or_damaged_is_quarantined_with_its_reason(context: SourceContext) -> None:
    files = {
        "package/emoji.json": [entry("1F600"), entry("1F601"), entry("1F602"), entry("1F603", has=False)],
        "package/img/google/64/1f600.png": PNG,
        "package/img/google/64/1f601.png": PNG[:-30],
    }
    icons = read(context, files)
    assert icons["status"].to_dict() == {"1f600": "ok", "1f601": "quarantined", "1f602": "quarantined"}
    assert icons["reason"]["1f601"].startswith("1f601.png: corrupt PNG")
    assert icons["reason"]["1f602"] == "1f602.png: listed, but not in emoji-datasource-google 1.0.0"


def test_a_second_image_with_the_key_of_another_is_omitted_and_named(context: SourceContext) -> None:
    files = {"package/emoji.json": [entry("1F600"), entry("1F600", image="grin.png")], "package/img/google/64/1f600.png": PNG}
    told: list[str] = []
    icons = read(dataclasses.replace(context, log=told.append), files)
    assert icons["status"].to_dict() == {"1f600": "ok"}
    assert any("omitted" in line and "grin.png" in line and "1f600.png" in line for line in told)


def test_an_emoji_that_unicode_does_not_know_takes_the_texts_of_the_package(context: SourceContext) -> None:
    toned = {"1F3FB": variant("1FAFF-1F3FB")}
    files = {"package/emoji.json": [entry("1FAFF", skin_variations=toned)], "package/img/google/64/1faff.png": PNG}
    icons = read(context, files)
    assert icons["name"].to_dict() == {"1faff": "some name", "1faff-1f3fb": "some name: light skin tone"}
    assert list(icons.loc["1faff", ["char", "group", "subgroup"]]) == ["\U0001faff", "people-body", "hand-fingers-open"]


@pytest.mark.parametrize(
    ("vendor", "license", "redistributable"),
    [("twitter", "CC-BY-4.0", True), ("facebook", "proprietary (Meta)", False), ("apple", "proprietary (Apple)", False)],
)
def test_license_and_redistribution_are_those_of_the_artwork(
    vendor: str, license: str, redistributable: bool, context: SourceContext
) -> None:
    files = {"package/emoji.json": [entry("1F600", vendor=vendor)], f"package/img/{vendor}/64/1f600.png": PNG}
    icon = read(context, files, f"emoji-datasource-{vendor}").loc["1f600"].to_dict()
    assert (icon["license"], icon["redistributable"]) == (license, redistributable)
    own = read(context, files, f"emoji-datasource-{vendor}", license="mine", redistributable=True).loc["1f600"].to_dict()
    assert (own["license"], own["redistributable"]) == ("mine", True)


def openmoji(hexcode: str, annotation: str, group: str = "extras-openmoji", tags: str = "") -> dict[str, Any]:
    texts = {"annotation": annotation, "group": group, "subgroups": "brand", "tags": tags, "openmoji_tags": "one, two, one"}
    return {"hexcode": hexcode, **texts}


def test_openmoji_is_drawn_from_its_svg_and_its_own_numbers_become_slugs(context: SourceContext) -> None:
    files = {
        "package/data/openmoji.json": [
            openmoji("1F600", "grinning face", "smileys-emotion"),
            openmoji("2764-FE0F", "red heart", "smileys-emotion"),
            openmoji("E000", "Goldfish", tags="one, fish"),
            openmoji("E001", "goldfish"),
            openmoji("E002", "日本"),
            openmoji("1F1E6", "regional indicator A", "extras-unicode"),
            openmoji("2654", "missing king"),
        ],
        **{f"package/color/svg/{code}.svg": SVG for code in ("1F600", "2764-FE0F", "E000", "E001", "E002", "1F1E6")},
        "package/black/svg/2654.svg": SVG,
    }
    icons = read(context, files, "openmoji", svg_pixels=32)
    assert icons.index.tolist() == ["1f600", "2764", "goldfish", "goldfish-e001", "日本", "1f1e6", "2654"]
    assert icons["char"].tolist()[1:4] == ["❤️", "", ""]
    assert list(icons.loc["goldfish", ["name", "group", "subgroup"]]) == ["goldfish", "extras-openmoji", "brand"]
    assert list(icons["keywords"]["goldfish"]) == ["one", "fish", "two"]
    assert "cheerful" in icons["keywords"]["1f600"]
    assert icons["group"]["1f1e6"] == "extras-unicode"
    assert (icons["width"]["1f600"], icons["license"]["1f600"]) == (32, "CC-BY-SA-4.0")
    assert icons["reason"][icons["reason"] != ""].to_dict() == {"2654": "2654.svg: listed, but not in openmoji 1.0.0"}


@pytest.mark.parametrize(
    "files", [{}, {"package/emoji.json": b"<html>"}, {"package/emoji.json": [{"a": 1}]}, {"package/emoji.json": []}]
)
def test_a_package_of_another_form_gives_one_clear_line(files: dict[str, Any], context: SourceContext) -> None:
    with pytest.raises(FlowmodelError, match=r"google-1.0.0.tgz: package/emoji.json .*; try another version") as caught:
        read(context, files)
    assert "\n" not in str(caught.value)


def test_observing_tells_the_configured_version_without_a_network(
    context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    config = NpmSource.model_validate({"name": "set", "kind": "npm", "package": "openmoji", "version": "16.0.0"})
    seen = npm.observe(config, context)
    assert (seen.fingerprint, seen.version, seen.newer) == (["openmoji", "16.0.0", ""], "16.0.0", "")
    assert not context.downloads.exists()
