"""Names of the files that images of prompts are written to."""

import unicodedata
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowmodel.images.save import file_stem


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("red heart", "red-heart"),
        ("red heart, noto style", "red-heart_noto-style"),
        ("赤いハート", "赤いハート"),
        ("सेब", "सेब"),
        ("café 2", "café-2"),
    ],
)
def test_a_name_has_the_words_of_its_prompt_in_any_script(prompt, stem):
    assert file_stem(prompt) == stem


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("Red heart!", "red-heart"), ("🍕", "image"), ("❤\ufe0f", "image"), ("Straße", "straße"), ("", "image")],
)
def test_what_words_do_not_tell_is_reported_by_a_digest(prompt, words):
    stem, _, digest = file_stem(prompt).rpartition("-")
    assert stem == words and len(digest) == 10 and int(digest, 16) >= 0


def _as_some_file_systems_see_it(name: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


# ruff: noqa: RUF001  # letters that look alike are what this is about
# Everyday prompts, and characters that are often lost in file names.
_PIECES = ["pizza", "Pizza", "é", "e\u0301", "ß", "ss", "ſ", "ı", "が", "か\u3099", "🍕", "\ufe0f", "\u200d", "\u0301", "ς", "σ"]
_PIECES += ["K", "k", "1", "①", "0", " ", "-", "_", ", ", ",", ".", "/", "\\", "\n", "\0"]
_PROMPTS = st.lists(st.sampled_from(_PIECES), max_size=6).map("".join) | st.text(max_size=80)


@given(_PROMPTS, _PROMPTS)
@example("a" * 60 + "b", "a" * 60 + "c")
@example("🍕", "🍣")
@example("Pizza", file_stem("Pizza").replace("-", " "))
def test_two_prompts_never_share_a_name(one, other):
    names = [_as_some_file_systems_see_it(file_stem(prompt)) for prompt in (one, other)]
    assert (names[0] == names[1]) == (one == other)


@given(_PROMPTS | st.text(min_size=200))
def test_a_name_is_short_and_has_no_sign_that_a_file_system_refuses(prompt):
    stem = file_stem(prompt)
    assert 0 < len(stem.encode()) <= 111
    assert all(char in "-_" or unicodedata.category(char)[0] in "LNM" for char in stem)


def test_the_pieces_of_the_property_test_differ():
    assert all(file_stem(one) != file_stem(other) for one, other in combinations(_PIECES, 2))
