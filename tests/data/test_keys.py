import pytest

from flowmodel.data.keys import base_key, normalise_hexcode, parse_hexcode, skin_tone, slug


@pytest.mark.parametrize(
    ("stem", "key", "char"),
    [
        ("1f600", "1f600", "😀"),
        ("u1f600", "1f600", "😀"),
        ("U+1F600", "1f600", "😀"),
        ("emoji_u1f469_200d_1f680", "1f469-200d-1f680", "👩‍🚀"),
        ("2764-fe0f", "2764", "❤️"),
        ("0023-fe0f-20e3", "0023-20e3", "#️⃣"),
        ("1fae9", "1fae9", "\U0001fae9"),  # newer than some Pythons' Unicode tables
    ],
)
def test_hexcodes_are_recognised(stem: str, key: str, char: str) -> None:
    assert parse_hexcode(stem) == (key, char)


@pytest.mark.parametrize(
    "stem", ["face", "decade", "2024", "0001", "cafe-2000", "d83d-de00", "fe0f", "110000", "heart", "1f600-x", ""]
)
def test_words_and_numbers_are_not_hexcodes(stem: str) -> None:
    assert parse_hexcode(stem) is None


def test_variation_selectors_and_case_do_not_matter() -> None:
    assert normalise_hexcode("1F469-200D-2764-FE0F-200D-1F468") == "1f469-200d-2764-200d-1f468"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Big Red Café.v2", "big-red-cafe-v2"), ("--a__b--", "a__b"), ("日本", ""), ("flag: Åland", "flag-aland")],
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
