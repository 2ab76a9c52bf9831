import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmodel.text.emoji_names import name_emoji
from flowmodel.text.emoji_texts import unicode_emoji


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("🐌", "snail"),
        ("🐌🐌 race", "snail snail race"),
        ("a☂️b", "a umbrella b"),
        ("a☂b", "a umbrella b"),
        ("👋🏿", "waving hand: dark skin tone"),
        ("👩‍🚀", "woman astronaut"),
        ("2️⃣ birds", "keycap: 2 birds"),
        ("flag 🇫🇮!", "flag flag: finland !"),
        ("Brand™ 2  ©", "Brand™ 2  ©"),
        ("plain  text", "plain  text"),
        ("größer", "größer"),
        ("", ""),
    ],
)
def test_an_emoji_becomes_its_name_and_other_text_stays(text: str, expected: str) -> None:
    assert name_emoji(text) == expected


@given(st.lists(st.sampled_from([emoji.char for emoji in unicode_emoji().values()]), max_size=3), st.text(max_size=5))
def test_no_emoji_is_left_over_and_doing_it_again_changes_nothing(emoji: list[str], text: str) -> None:
    named = name_emoji(" ".join([*emoji, text]))
    assert name_emoji(named) == named
    signs = {char for char in "".join(emoji) if ord(char) > 0x2122} - set(text)
    assert not signs & set(named)
