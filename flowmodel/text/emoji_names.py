"""Replaces emoji in a text by their names, because most caption encoders map all emoji to one unknown token."""

from functools import cache

from flowmodel.text.emoji_texts import unicode_emoji
from flowmodel.text.replacing import EmojiReplacer

_VARIATION_SELECTOR = "\ufe0f"
_SIGNS = "©®™"  # these are used inside words, and encoders have tokens for them


def name_emoji(text: str) -> str:
    """`text` with emoji replaced by their Unicode names, see :class:`flowmodel.text.replacing.EmojiReplacer`."""
    return text if text.isascii() else emoji_replacer()(text)


@cache
def emoji_replacer() -> EmojiReplacer:
    """The replacer for all emoji of Unicode 17, with and without variation selectors."""
    names: dict[str, str] = {}
    for emoji in unicode_emoji().values():
        for written in (emoji.char, emoji.char.replace(_VARIATION_SELECTOR, "")):
            if written not in _SIGNS:
                names[written] = emoji.name
    return EmojiReplacer(names)
