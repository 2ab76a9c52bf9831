"""Replaces emoji in a text by their names, because most caption encoders map all emoji to one unknown token."""

from functools import cache

from flowmodel.files import read_json
from flowmodel.shipped import shipped
from flowmodel.text.replacing import EmojiReplacer

# Made from emojibase.parquet by data/bundled/build.py. Reading that table with pyarrow takes 180 MB instead of 4.
PATH = shipped("bundled/emoji.json")


def name_emoji(text: str) -> str:
    """`text` with emoji replaced by their Unicode names, see :class:`flowmodel.text.replacing.EmojiReplacer`."""
    return text if text.isascii() else emoji_replacer()(text)


@cache
def emoji_replacer() -> EmojiReplacer:
    """The replacer for all emoji of Unicode 17, with and without variation selectors.

    Raises FlowmodelError when the bundled file is missing or damaged.
    """
    return EmojiReplacer(read_json(PATH))
