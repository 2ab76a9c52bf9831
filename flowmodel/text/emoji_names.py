"""Emoji in a text, replaced by their names: most caption encoders have one unknown token for all of them."""

from functools import cache

from flowmodel.text.emoji_texts import unicode_emoji
from flowmodel.text.replacing import EmojiReplacer

_VARIATION_SELECTOR = "\ufe0f"
_SIGNS = "©®™"  # of words, not instead of them; encoders know them


def name_emoji(text: str) -> str:
    """`text` with Unicode's names of its emoji in their place, see :class:`flowmodel.text.replacing.EmojiReplacer`."""
    return text if text.isascii() else emoji_replacer()(text)


@cache
def emoji_replacer() -> EmojiReplacer:
    """Knows every emoji of Unicode 17, with and without its variation selectors."""
    names: dict[str, str] = {}
    for emoji in unicode_emoji().values():
        for written in (emoji.char, emoji.char.replace(_VARIATION_SELECTOR, "")):
            if written not in _SIGNS:
                names[written] = emoji.name
    return EmojiReplacer(names)
