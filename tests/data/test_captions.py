from pathlib import Path

import pytest

from flowmodel.data.captions import TEMPLATES, build_captions, caption_texts
from flowmodel.errors import FlowmodelError
from flowmodel.files import read_parquet
from flowmodel.recipes import load_recipe, recipe_names
from flowmodel.recipes.schema import DataConfig
from tests.data.helpers import icon_row, write_icons


def captions(tmp_path: Path, rows: list[dict], **options: object) -> dict[str, dict]:
    path = build_captions(write_icons(tmp_path / "n.parquet", rows), tmp_path / "c.parquet", **options).path
    return {row["caption_id"]: row for row in read_parquet(path).to_pylist()}


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
    assert caption_texts(name, keywords, "", "", "noto")["name_keywords"] == expected


@pytest.mark.parametrize(
    ("name", "tone", "expected"),
    [
        ("waving hand: dark skin tone", "dark", "waving hand with dark skin tone"),
        ("woman: medium-light skin tone, red hair", "medium-light", "woman, red hair with medium-light skin tone"),
        ("kiss: man, man, light skin tone, medium skin tone", "light+medium", "kiss: man, man with light and medium skin tones"),
        ("men holding hands: dark skin tone", "dark+dark", "men holding hands with dark skin tone"),
        ("red heart", "", "red heart"),
    ],
)
def test_a_skin_tone_can_be_said_in_other_words(name: str, tone: str, expected: str) -> None:
    assert caption_texts(name, [], "", tone, "noto")["name_tone"] == expected


def test_every_usable_icon_has_every_template(tmp_path: Path) -> None:
    rows = [
        icon_row("a", name="red heart", keywords=["love"], group="smileys-emotion"),
        icon_row("b", name="star", source="mine", captions=["a star, drawn by me", "my star"]),
        icon_row("q", status="quarantined", reason="x"),
    ]
    found = captions(tmp_path, rows, styles={"mine": "line art"})
    assert {key: row["text"] for key, row in found.items()} == {
        "test/a#name": "red heart",
        "test/a#name_keywords": "red heart, love",
        "test/a#name_group": "red heart, smileys and emotion",
        "test/a#name_tone": "red heart",
        "test/a#name_style": "red heart, test style",
        "mine/b#name": "star",
        "mine/b#name_keywords": "star",
        "mine/b#name_group": "star",
        "mine/b#name_tone": "star",
        "mine/b#name_style": "star, line art style",
        "mine/b#own-0": "a star, drawn by me",
        "mine/b#own-1": "my star",
    }
    assert tuple(row["template"] for row in found.values())[:5] == TEMPLATES[:5]
    assert {row["icon_id"] for row in found.values()} == {"test/a", "mine/b"}


def test_mixed_captions_have_the_name_and_random_words_the_first_alike_in_every_source(tmp_path: Path) -> None:
    words = ["red", "fruit", "tree", "health"]
    rows = [
        icon_row(f"1f34{i:x}", name=f"apple {i}", keywords=words, group="food-drink", source=source)
        for i in range(10)
        for source in ("one", "two")
    ]
    found = captions(tmp_path, rows, templates=["mixed"])
    parts = {key: row["text"].split(", ") for key, row in found.items() if row["template"] == "mixed"}
    assert len(parts) == 2 * len(rows)
    allowed = {*words, "food and drink"}
    for key, own in parts.items():
        name = found[key.partition("#")[0] + "#name"]["text"]
        style = [f"{key.partition('/')[0]} style"] if key.endswith("-1") else []
        rest = own[: len(own) - len(style)]
        assert own[len(rest) :] == style and rest.count(name) == 1
        assert {*rest} - {name} <= allowed and 1 <= len({*rest} & {*words}) <= 3
    assert all(parts[f"one/1f34{i:x}#mixed-0"] == parts[f"two/1f34{i:x}#mixed-0"] for i in range(10))
    assert any(parts[f"one/1f34{i:x}#mixed-1"][:-1] != parts[f"two/1f34{i:x}#mixed-1"][:-1] for i in range(10))
    assert any("food and drink" in own for own in parts.values())
    assert captions(tmp_path, rows, templates=["mixed"]).keys() == found.keys()


def test_only_what_is_asked_for_is_made_and_the_name_always(tmp_path: Path) -> None:
    rows = [icon_row("1f600", name="grinning face"), icon_row("mine", name="mine")]
    found = captions(tmp_path, rows, templates=["name_style", "name_keywords"], languages=["de", "ja"])
    assert {key: row["text"] for key, row in found.items() if "keywords" not in key} == {
        "test/1f600#name": "grinning face",
        "test/mine#name": "mine",
    }
    german = found["test/1f600#name_keywords@de"]
    assert (german["language"], german["template"]) == ("de", "name_keywords")
    assert german["text"].startswith("grinsendes Gesicht, ")
    assert found["test/1f600#name_keywords@ja"]["text"].startswith("にっこり笑う")


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_uses_the_source_s_own_texts_as_they_are_in_whatever_language(
    tmp_path: Path, name: str, language: str
) -> None:
    data = load_recipe(name, [f"data.languages=[{language}]", "data.recolored=0"]).data  # words of color are English
    rows = [icon_row("a", captions=["Ein Stern;  von mir, GEZEICHNET"])]
    own = captions(tmp_path, rows, templates=data.captions, languages=data.languages)["test/a#own-0"]
    assert (own["text"], own["template"], own["language"]) == ("Ein Stern;  von mir, GEZEICHNET", "own", "und")


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(ValueError, match="emojibase has no names in 'xx'; there are bn, da, de"):
        DataConfig(languages=("en", "xx"))


def test_unknown_languages_never_get_as_far_as_the_table(tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match="language 'xx'"):
        captions(tmp_path, [icon_row("a")], languages=["xx"])


def test_unchanged_icons_give_an_unchanged_digest(tmp_path: Path) -> None:
    icons = write_icons(tmp_path / "n.parquet", [icon_row("a"), icon_row("b")])
    assert build_captions(icons, tmp_path / "1.parquet").digest == build_captions(icons, tmp_path / "2.parquet").digest
