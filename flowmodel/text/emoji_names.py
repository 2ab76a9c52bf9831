"""Emoji in a text, replaced by their names: most caption encoders have one unknown token for all of them."""

from collections.abc import Mapping
from functools import cache

from flowmodel.text.emoji_texts import unicode_emoji

_VARIATION_SELECTOR = "\ufe0f"
_SIGNS = "©®™"  # of words, not instead of them; encoders know them


def name_emoji(text: str) -> str:
    """`I ♥️ 🍕🍕` to `I heart suit pizza pizza`; a text without emoji comes back as it is.

    The longest sequence counts (`👍🏽` is `thumbs up: medium skin tone`), with or without its variation selectors.
    """
    if text.isascii():
        return text
    names, longest = _names()
    parts, at, plain = [], 0, 0
    while at < len(text):
        if text[at] in longest:
            for length in range(min(longest[text[at]], len(text) - at), 0, -1):
                if name := names.get(text[at : at + length]):
                    parts += [text[plain:at], name]
                    plain = at = at + length
                    while text[at : at + 1] == _VARIATION_SELECTOR:
                        plain = at = at + 1
                    break
            else:
                at += 1
        else:
            at += 1
    return " ".join(" ".join([*parts, text[plain:]]).split()) if parts else text


@cache
def _names() -> tuple[Mapping[str, str], Mapping[str, int]]:
    """The name of each emoji in every form in which it is written, and by first character the length of the longest."""
    names: dict[str, str] = {}
    for emoji in unicode_emoji().values():
        for written in (emoji.char, emoji.char.replace(_VARIATION_SELECTOR, "")):
            if written not in _SIGNS:
                names[written] = emoji.name
    longest: dict[str, int] = {}
    for written in names:
        longest[written[0]] = max(longest.get(written[0], 0), len(written))
    return names, longest
