from pathlib import Path

import pytest

from flowmodel.files import read_parquet
from flowmodel.icons.captions import TEMPLATES, build_captions, caption_texts
from tests.icons.helpers import icon_row, write_icons


@pytest.mark.parametrize(
    ("name", "keywords", "expected"),
    [
        ("red heart", ["heart", "love", "red heart", "Red"], "red heart, love"),
        ("red heart", [], "red heart"),
        ("star", ["a", "b", "c", "d", "e", "f"], "star, a, b, c, d, e"),
        ("star", ["glow", "Glow", "starry"], "star, glow, starry"),
    ],
)
def test_keywords_add_what_the_name_does_not_say(name: str, keywords: list[str], expected: str) -> None:
    assert caption_texts(name, keywords, "noto")["name_keywords"] == expected


def test_every_usable_icon_has_every_template(tmp_path: Path) -> None:
    rows = [
        icon_row("a", name="red heart", keywords=["love"]),
        icon_row("b", name="star", source="mine"),
        icon_row("q", status="quarantined", reason="x"),
    ]
    path = build_captions(write_icons(tmp_path / "n.parquet", rows), tmp_path / "c.parquet", {"mine": "line art"}).path
    captions = {row["caption_id"]: row for row in read_parquet(path).to_pylist()}
    assert {key: row["text"] for key, row in captions.items()} == {
        "test/a#name": "red heart",
        "test/a#name_keywords": "red heart, love",
        "test/a#name_style": "red heart, test style",
        "mine/b#name": "star",
        "mine/b#name_keywords": "star",
        "mine/b#name_style": "star, line art style",
    }
    assert tuple(row["template"] for row in captions.values())[:3] == TEMPLATES
    assert {row["icon_id"] for row in captions.values()} == {"test/a", "mine/b"}


def test_unchanged_icons_give_an_unchanged_digest(tmp_path: Path) -> None:
    icons = write_icons(tmp_path / "n.parquet", [icon_row("a"), icon_row("b")])
    assert build_captions(icons, tmp_path / "1.parquet").digest == build_captions(icons, tmp_path / "2.parquet").digest
