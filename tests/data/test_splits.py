from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmodel.data.duplicates import find_duplicates
from flowmodel.data.keys import base_key, skin_tone
from flowmodel.data.normalize import normalize_icons
from flowmodel.data.splits import Icon, assign_splits, leaks, load_splits, split_icons
from flowmodel.errors import FlowmodelError
from flowmodel.images.rgba import encode_png
from flowmodel.recipes.schema import SplitConfig
from tests.data.helpers import icon_row, plain, write_icons

KEYS = [f"icon-{i}" for i in range(400)]
CONFIG = SplitConfig(seed=0, validation=0.1, unseen_concept=0.2, unseen_style=0.2, unseen_tone=0.2)
TONES = ("", "-1f3fb", "-1f3fd", "-1f3ff")


def icons_of(keys: list[str], source: str = "one") -> list[Icon]:
    return [Icon(f"{source}/{key}", source, base_key(key), skin_tone(key)) for key in keys]


def split(icons: list[Icon], sources: str = "one two three", pairs: list[tuple[str, str]] = [], config: SplitConfig = CONFIG):  # noqa: B006
    return split_icons(icons, sources.split(), pairs, config)


def test_shares_are_about_as_configured() -> None:
    counts = Counter(split(icons_of(KEYS)).values())
    assert 50 <= counts["unseen_concept"] <= 110
    assert 20 <= counts["validation"] <= 60
    assert counts.keys() == {"train", "validation", "unseen_concept"}, "one source without tones has no unseen style or tone"


def test_icons_and_sources_added_later_move_none() -> None:
    before = split(icons_of(KEYS[:200]))
    after = split(icons_of(KEYS) + icons_of(KEYS, "two"))
    assert before.items() <= after.items()


def test_another_seed_holds_out_others_and_a_larger_share_keeps_those_held_out() -> None:
    icons = icons_of(KEYS)
    base = split(icons)
    assert split(icons, config=CONFIG.model_copy(update={"seed": 1})) != base
    wider = split(icons, config=CONFIG.model_copy(update={"unseen_concept": 0.3}))
    for name in ("unseen_concept", "validation"):
        assert all(wider[icon] == name for icon, was in base.items() if was == name)


def test_a_concept_stays_together_over_sources_tones_and_look_alikes() -> None:
    hands = [f"1f4{i:02x}{tone}" for i in range(60) for tone in TONES]
    copies = [f"copy-{i}" for i in range(60)]
    pairs = [(f"one/1f4{i:02x}", f"one/copy-{i}") for i in range(60)]
    splits = split(icons_of(hands + copies) + icons_of(hands, "two"), pairs=pairs)
    for i in range(60):
        members = [f"{source}/1f4{i:02x}{tone}" for source in ("one", "two") for tone in TONES] + [f"one/copy-{i}"]
        held_out = {splits[member] for member in members} & {"validation", "unseen_concept"}
        assert not held_out or {splits[member] for member in members} == held_out
    assert {"train", "validation", "unseen_concept"} <= set(splits.values())


def test_an_unseen_style_is_seen_in_an_earlier_source_and_held_out_with_all_its_tones() -> None:
    hands = [f"1f4{i:02x}{tone}" for i in range(80) for tone in TONES]
    splits = split(icons_of(hands) + icons_of(hands, "two"))
    styles = {icon.rpartition("/")[2].partition("-")[0] for icon, name in splits.items() if name == "unseen_style"}
    assert 5 <= len(styles) <= 25
    for hand in styles:
        assert {splits[f"two/{hand}{tone}"] for tone in TONES} == {"unseen_style"}
        assert splits[f"one/{hand}"] == "train"


def test_an_unseen_tone_is_the_same_everywhere_and_other_tones_are_trained_on() -> None:
    hands = [f"1f4{i:02x}{tone}" for i in range(80) for tone in TONES]
    splits = split(icons_of(hands) + icons_of(hands, "two"))
    unseen = {icon.rpartition("/")[2] for icon, name in splits.items() if name == "unseen_tone"}
    assert 20 <= len(unseen) <= 70
    for key in unseen:
        assert skin_tone(key)
        assert {splits[f"one/{key}"], splits[f"two/{key}"]} <= {"unseen_tone", "unseen_style"}
        assert any(splits[f"one/{base_key(key)}{tone}"] == "train" for tone in TONES)


def test_sources_of_one_style_share_what_is_held_out_of_it() -> None:
    styles = {"one": "round", "two": "flat", "three": "round", "four": "flat"}
    icons = [replace(icon, style=style) for source, style in styles.items() for icon in icons_of(KEYS, source)]
    splits = split(icons, sources="one two three four")
    held_out = {icon for icon, name in splits.items() if name == "unseen_style"}
    assert {icon.partition("/")[0] for icon in held_out} == {"two", "four"}, "the round ones are known from the first source"
    assert {icon.partition("/")[2] for icon in held_out if icon.startswith("two/")} == {
        icon.partition("/")[2] for icon in held_out if icon.startswith("four/")
    }


def test_what_looks_like_an_earlier_training_icon_is_not_an_unseen_style() -> None:
    pairs = [(f"one/{key}", f"two/{key}") for key in KEYS]
    splits = split(icons_of(KEYS) + icons_of(KEYS, "two"), pairs=pairs)
    assert "unseen_style" not in splits.values() and "excluded" not in splits.values()


def test_an_icon_that_looks_like_both_sides_of_a_border_is_excluded() -> None:
    before = split(icons_of(KEYS))
    trained = next(icon for icon, name in before.items() if name == "train")
    unseen = next(icon for icon, name in before.items() if name == "unseen_concept")
    pairs = [(trained, "two/both"), (unseen, "two/both")]
    after = split(icons_of(KEYS) + icons_of(["both"], "two"), pairs=pairs)
    assert after["two/both"] == "excluded" and before.items() <= after.items()


ICONS = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from(TONES)), unique=True, max_size=14)
LINKS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=25)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.tuples(ICONS, ICONS, ICONS), st.sampled_from(["rst", "rsr", "rss", "rrr"]), LINKS, st.integers(0, 50))
def test_no_look_alikes_cross_a_border_and_a_new_source_moves_nobody(sets: tuple, styles: str, links: list, seed: int) -> None:
    config = SplitConfig(seed=seed, validation=0.2, unseen_concept=0.3, unseen_style=0.4, unseen_tone=0.4)
    by_source = [
        [Icon(f"{source}/{key}{tone}", source, key, tone, style) for key, tone in keys]
        for source, style, keys in zip(("one", "two", "three"), styles, sets, strict=True)
    ]
    everyone = [icon for icons in by_source for icon in icons]
    pairs = sorted(
        {tuple(sorted((everyone[a % len(everyone)].id, everyone[b % len(everyone)].id))) for a, b in links if everyone}
    )
    pairs = [(a, b) for a, b in pairs if a != b]
    known: dict[str, str] = {}
    for count in (1, 2, 3):
        icons = [icon for icons in by_source[:count] for icon in icons]
        now = split(icons, pairs=pairs, config=config)
        assert now.keys() == {icon.id for icon in icons}
        assert known.items() <= now.items(), "a source added at the end moved an icon"
        assert leaks(now, pairs, ["one", "two", "three"]) == []
        drawn = {name: {icon.drawing for icon in icons if now[icon.id] == name} for name in ("train", "unseen_style")}
        assert not drawn["train"] & drawn["unseen_style"], "a style of a concept is trained on, or not"
        assert split(icons[::-1], pairs=pairs[::-1], config=config) == now, "the order of rows doesn't matter"
        known = now


def test_an_icon_without_a_code_point_that_has_the_name_of_a_held_out_emoji_is_excluded() -> None:
    icons = icons_of([f"1f4{i:02x}" for i in range(26)])
    emoji = [replace(icon, name=f"{letter} key") for icon, letter in zip(icons, "abcdefghijklmnopqrstuvwxyz", strict=True)]
    before = split(emoji)
    named = [Icon(f"two/{i}", "two", f"icon-{i}", name=f"Enter {icon.name}s 2") for i, icon in enumerate(emoji)]
    other = [Icon("two/other", "two", "other", name="piano")]
    after = split(emoji + named + other)
    assert before.items() <= after.items()
    for icon, new in zip(emoji, named, strict=True):
        if before[icon.id] == "train":
            assert after[new.id] != "excluded"
        else:
            assert after[new.id] != "train"
    assert "excluded" in {after[new.id] for new in named}


def test_leaks_are_found() -> None:
    splits = {"a": "train", "b": "validation", "c": "excluded", "d": "train"}
    assert leaks(splits, [("a", "b"), ("a", "c"), ("a", "d"), ("b", "nowhere")]) == [("a", "b")]


def test_the_table_follows_sources_and_images_and_leaves_out_quarantined_icons(tmp_path: Path) -> None:
    same = encode_png(plain())
    one = write_icons(
        tmp_path / "1.parquet", [icon_row(key, source="z") for key in KEYS[:100]] + [icon_row("x", source="z", png=same)]
    )
    two = write_icons(tmp_path / "2.parquet", [icon_row("y", source="a", png=same), icon_row("q", source="a", png=b"")])
    table = normalize_icons({"z": one, "a": two}, 16, tmp_path / "n.parquet").path
    pairs = find_duplicates(table, tmp_path / "d.parquet").path
    splits = load_splits(assign_splits(table, pairs, CONFIG, tmp_path / "s.parquet").path)
    assert len(splits) == 102 and splits["a/y"] == splits["z/x"] and "a/q" not in splits


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match=r"nowhere\.parquet: no such file"):
        load_splits(tmp_path / "nowhere.parquet")
