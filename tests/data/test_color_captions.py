"""Which icons have recolored copies, and the names of those."""

from pathlib import Path

import pytest

from flowmodel.data.captions import TEMPLATES, build_captions
from flowmodel.data.color_captions import COLOR, color_of, is_held_out, without_color_words
from flowmodel.data.normalize import normalize_icons
from flowmodel.errors import FlowmodelError
from flowmodel.files import read_parquet
from flowmodel.images.recolor import PROTOTYPES
from flowmodel.images.rgba import encode_png
from flowmodel.recipes import load_recipe
from flowmodel.recipes.schema import DataConfig
from tests.data.helpers import BLUE, GREEN, RED, icon_row, plain, write_icons


def captions(tmp_path: Path, rows: list[dict], **options: object) -> list[dict]:
    normalized = normalize_icons({"test": write_icons(tmp_path / "i.parquet", rows)}, 16, tmp_path / "n.parquet").path
    return read_parquet(build_captions(normalized, tmp_path / "c.parquet", **options).path).to_pylist()


def of(key: str, color=BLUE, **fields: object) -> dict:
    return icon_row(key, png=encode_png(plain(color)), **fields)


def colored(tmp_path: Path, *rows: dict) -> dict[str, dict]:
    found = captions(tmp_path, list(rows), styles={"test": "line art"}, recolored=True)
    return {row["caption_id"]: row for row in found if row["template"] == COLOR}


def test_a_copy_is_called_by_the_thing_and_the_color_with_and_without_its_style(tmp_path: Path) -> None:
    found = colored(tmp_path, of("apple", RED, name="Red apple"))
    assert not is_held_out("apple", "green")
    plain_caption, styled = found["test/apple#color-green"], found["test/apple#color-green-style"]
    assert (plain_caption["text"], styled["text"]) == ("green apple", "green apple, line art style")
    assert plain_caption["icon_id"] == "test/apple" and plain_caption["language"] == "en"
    assert {color_of(caption_id) for caption_id in found} < set(PROTOTYPES)
    assert all(row["text"].startswith(f"{color_of(caption_id)} apple") for caption_id, row in found.items())


def test_held_out_pairs_have_no_caption_and_about_an_eighth_is_held_out(tmp_path: Path) -> None:
    names = [f"thing {number}" for number in range(40)]
    found = colored(tmp_path, *(of(name.replace(" ", "-"), name=name) for name in names))
    trained = {(row["text"].partition(" ")[2].partition(",")[0], color_of(row["caption_id"])) for row in found.values()}
    pairs = {(name, color) for name in names for color in PROTOTYPES}
    assert trained == {pair for pair in pairs if not is_held_out(*pair)}
    assert 0.06 < 1 - len(trained) / len(pairs) < 0.2
    assert is_held_out("Apple", "blue") and is_held_out("apple", "blue") and is_held_out("house", "red"), (
        "the pairs must stay what the shipped weights had"
    )


@pytest.mark.parametrize(
    ("name", "fields", "suited"),
    [
        ("balloon", {}, True),
        ("flag: France", {"group": "flags"}, False),
        ("crossed flags", {}, False),
        ("waving hand", {"group": "people-body"}, False),
        ("waving hand: dark skin tone", {"skin_tone": "dark"}, False),
        ("grinning face", {"group": "smileys-emotion"}, False),
        ("blue heart", {"group": "smileys-emotion"}, True),
        ("smiling face with hearts", {"group": "smileys-emotion"}, False),
        ("rainbow", {}, False),
        ("alarm clock", {}, False),
        ("blue", {}, False),
    ],
)
def test_only_things_are_turned(tmp_path: Path, name: str, fields: dict, suited: bool) -> None:
    assert bool(colored(tmp_path, of("key", name=name, **fields))) == suited


def test_only_images_of_mostly_one_color_are_turned(tmp_path: Path) -> None:
    half = plain(RED)
    half[4:] = GREEN
    gray = plain((120, 120, 120, 255))
    gray[:2] = RED
    rows = [icon_row(key, png=encode_png(image)) for key, image in (("half", half), ("gray", gray))]
    assert not colored(tmp_path, *rows)
    assert colored(tmp_path, of("whole", RED))


def test_what_is_quarantined_has_no_copies(tmp_path: Path) -> None:
    assert not colored(tmp_path, icon_row("q", status="quarantined", reason="x"), of("gray", (9, 9, 9, 255)))


def test_the_other_captions_are_the_same_and_without_the_field_there_are_none_of_copies(tmp_path: Path) -> None:
    rows = [of("apple", RED), of("hand", group="people-body")]
    without, with_copies = captions(tmp_path, rows), captions(tmp_path, rows, recolored=True)
    assert with_copies[: len(without)] == without and {row["template"] for row in with_copies[len(without) :]} == {COLOR}
    assert COLOR not in TEMPLATES


def test_words_of_color_leave_a_name_wherever_they_stand() -> None:
    assert without_color_words("red apple") == "apple"
    assert without_color_words("Green book of White pages") == "book of pages"
    assert without_color_words("redwood") == "redwood"


def test_a_recipe_that_asks_for_what_cannot_be_is_refused_with_its_field() -> None:
    with pytest.raises(ValueError, match="recolored: grayscale images have no colors to turn"):
        DataConfig(recolored=0.1, color="grayscale")
    with pytest.raises(ValueError, match="recolored: color words are English; add en"):
        DataConfig(recolored=0.1, languages=("de",))
    for share in (0.01, 0.999):
        with pytest.raises(FlowmodelError, match=f"data.recolored: {share:g} of a training.batch_size of 8 is"):
            load_recipe("laptop", [f"data.recolored={share}", "training.batch_size=8"])
    assert load_recipe("laptop", ["data.recolored=0.125", "training.batch_size=8"]).data.recolored == 0.125
