from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmodel.data.keys import (
    ascii_slug,
    base_key,
    code_point_stems,
    distinct_keys,
    normalize_hexcode,
    parse_hexcode,
    skin_tone,
    slug,
)


@pytest.mark.parametrize(
    ("stem", "key", "char"),
    [
        ("1f600", "1f600", "😀"),
        ("u1f600", "1f600", "😀"),
        ("U+1F600", "1f600", "😀"),
        ("emoji_u1f469_200d_1f680", "1f469-200d-1f680", "👩‍🚀"),
        ("2764-fe0f", "2764", "❤️"),
        ("0023-fe0f-20e3", "0023-20e3", "#️⃣"),
        ("a9", "00a9", "©"),  # Twemoji's own names
        ("23-20e3", "0023-20e3", "#\u20e3"),
        ("1fae9", "1fae9", "\U0001fae9"),  # newer than some Pythons' Unicode tables
    ],
)
def test_hexcodes_are_recognized(stem: str, key: str, char: str) -> None:
    assert parse_hexcode(stem) == (key, char)


@pytest.mark.parametrize(
    "stem", ["face", "decade", "2024", "0001", "cafe-2000", "d83d-de00", "fe0f", "110000", "heart", "1f600-x", "2a", "23-40", ""]
)
def test_words_and_numbers_are_not_hexcodes(stem: str) -> None:
    assert parse_hexcode(stem) is None


def test_variation_selectors_and_case_do_not_matter() -> None:
    assert normalize_hexcode("1F469-200D-2764-FE0F-200D-1F468") == "1f469-200d-2764-200d-1f468"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Big Red Café.v2", "big-red-café-v2"),
        ("--a__b--", "a__b"),
        ("日本", "日本"),
        ("cafe\u0301", "café"),
        ("ดวงดี!", "ดวงดี"),
        ("★", ""),
    ],
)
def test_slug(text: str, expected: str) -> None:
    assert slug(text) == expected


@pytest.mark.parametrize(
    ("key", "base", "tone"),
    [
        ("1f44b", "1f44b", ""),
        ("1f44b-1f3fd", "1f44b", "medium"),
        ("1f9d1-1f3fb-200d-1f91d-200d-1f9d1-1f3ff", "1f9d1-200d-1f91d-200d-1f9d1", "light+dark"),
        ("1f3fb", "1f3fb", ""),  # the swatch itself
        ("red-heart", "red-heart", ""),
    ],
)
def test_skin_tones(key: str, base: str, tone: str) -> None:
    assert (base_key(key), skin_tone(key)) == (base, tone)


def test_names_of_sets_are_matched_without_accents() -> None:
    assert ascii_slug("flag: Åland Islands") == "flag-aland-islands"


def test_four_digits_are_code_points_only_among_their_like() -> None:
    assert code_point_stems({"2708", "2615"}) == set()
    assert code_point_stems({"2708", "1f600", "lamp"}) == {"1f600"}
    assert code_point_stems({"2708", "1f600", "a9"}) == {"2708", "1f600", "a9"}


def test_a_file_that_is_added_changes_no_other_s_key() -> None:
    before = ["outlined/home.svg", "bell.svg", "outlined/日.svg", "sets/2702.png"]
    added = ["filled/home.svg", "home.svg", "outlined/bell.svg", "日.svg", "2702.png"]
    keys = distinct_keys(before + added)
    assert keys[:4] == distinct_keys(before) == ["outlined-home", "bell", "outlined-日", "sets-2702"]
    assert keys[4:] == ["filled-home", "home", "outlined-bell", "日", "icon-2702"]


@given(st.lists(st.text("aB-_/. é日+2708", min_size=1, max_size=9), unique=True, max_size=12), st.randoms())
def test_no_two_files_share_a_key_and_their_order_does_not_matter(files: list[str], random: Random) -> None:
    keys = dict(zip(files, distinct_keys(files), strict=True))
    assert len(set(keys.values())) == len(files)
    assert all(key and parse_hexcode(key) is None for key in keys.values())
    random.shuffle(files)
    assert dict(zip(files, distinct_keys(files), strict=True)) == keys
