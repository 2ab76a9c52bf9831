"""Prompts as a caption encoder is to read them: emoji, and names in other languages, become English. What it will not understand
is told.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from flowmodel.errors import FlowmodelError
from flowmodel.text.encoded import CaptionEncoder
from flowmodel.text.readability import shortened

if TYPE_CHECKING:
    import pyarrow as pa

ENGLISH = ("en", "en-gb")
_ALIKE = 0.4  # Dice coefficient of the emoji that two words of different languages are about
_MEANINGLESS = "{}: the caption encoder knows no part of it; say it in English"


@dataclass(frozen=True)
class Prompts:
    """What an encoder takes in of prompts.

    Attributes:
        texts: what is encoded in place of each prompt.
        notes: one line for each prompt that is drawn otherwise than it may seem.
        meaningless: prompts that say nothing to the encoder.
    """

    texts: tuple[str, ...]
    notes: tuple[str, ...]
    meaningless: tuple[str, ...]

    def lines(self) -> list[str]:
        """Everything that a person should know of them."""
        return [*self.notes, *(_MEANINGLESS.format(shortened(prompt)) for prompt in self.meaningless)]

    def require_meaning(self) -> None:
        """Raise FlowmodelError where a prompt is empty, or of nothing that the encoder knows."""
        for prompt in self.meaningless:
            if not prompt.strip():
                raise FlowmodelError("prompt '': it is empty; say what is to be drawn, such as 'red heart'")
            raise FlowmodelError(f"prompt {_MEANINGLESS.format(shortened(prompt))}")


def read_prompts(
    encoder: CaptionEncoder, prompts: Sequence[str], name_emoji: Callable[[str], str], languages: Collection[str] = ENGLISH
) -> Prompts:
    """Prepare prompts for `encoder`, and find out what it takes in of them.

    Args:
        name_emoji: gives a text with names in place of its emoji.
        languages: of the captions that the model was trained on.
    """
    texts = [in_english(name_emoji(prompt), languages) for prompt in prompts]
    notes, meaningless = [], []
    for prompt, text, tokens in zip(prompts, texts, encoder.tokenize(texts), strict=True):
        shown = shortened(prompt)
        if tokens.unknown >= tokens.words:
            meaningless.append(prompt)
        elif not set(languages) - set(ENGLISH) and not _is_latin(text):
            notes.append(f"{shown} is hardly understood, because the caption encoder was trained on English; say it in English")
        elif tokens.unknown:
            notes.append(f"{shown} has something that the caption encoder does not know, and it is left out")
        if text != name_emoji(prompt):
            notes.append(f"{shown} is drawn as {shortened(text)}")
        if tokens.cut:
            notes.append(f"{shown} is longer than what the caption encoder reads; only its first {tokens.words} tokens count")
    return Prompts(tuple(texts), tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(meaningless)))


def in_english(text: str, languages: Collection[str] = ENGLISH) -> str:
    """The English for the name or keyword of an emoji in another language; `text` itself where it is none.

    A style is kept: `兔子, noto style` becomes `rabbit, noto style`. Text in ASCII is taken for English, and a language that the
    model was trained on is left alone.
    """
    # Without pyarrow, as where only the runtime is installed, there are no names.
    if text.isascii() or not find_spec("pyarrow"):
        return text
    name, comma, style = text.partition(",")
    return f"{found}{comma}{style}" if (found := _english_name(_folded(name), frozenset(languages))) else text


@lru_cache(maxsize=1024)
def _english_name(text: str, languages: frozenset[str]) -> str | None:
    """The English name of the emoji that is called `text`; or the English word that means most nearly the same emoji as the
    keyword `text` does. None where there is neither, or one of `languages` has that word.
    """
    import pyarrow.compute as pc

    from flowmodel.text.emoji_texts import unicode_emoji

    table = _names()
    keywords = pc.indices_nonzero(pc.equal(pc.utf8_lower(pc.list_flatten(table["keywords"])), text))
    by_keyword = pc.take(pc.list_parent_indices(table["keywords"]), keywords)
    by_name = pc.indices_nonzero(pc.equal(pc.utf8_lower(table["name"]), text))
    named, meant = (table.select(["language", "key"]).take(rows).to_pylist() for rows in (by_name, by_keyword))
    if any(row["language"] in languages for row in named + meant):
        return None
    if named:
        return unicode_emoji()[named[0]["key"]].name
    keys = {row["key"] for row in meant}
    overlaps = {
        word: 2 * len(keys & own) / (len(keys) + len(own))
        for word, own in _keys_of_english_words().items()
        if not keys.isdisjoint(own)
    }
    best = max(overlaps, key=overlaps.__getitem__, default=None)
    return best if best is not None and overlaps[best] >= _ALIKE else None


@cache
def _names() -> "pa.Table":
    from flowmodel.files import read_parquet
    from flowmodel.text.emoji_texts import PATH

    return read_parquet(PATH, ["language", "key", "name", "keywords"])


@cache
def _keys_of_english_words() -> dict[str, set[str]]:
    from flowmodel.text.emoji_texts import unicode_emoji

    keys_of: dict[str, set[str]] = defaultdict(set)
    for key, emoji in unicode_emoji().items():
        for word in (emoji.name, *emoji.keywords):
            keys_of[word].add(key)
    return keys_of


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip().casefold()


def _is_latin(text: str) -> bool:
    """Whether most letters are Latin."""
    letters = [character for character in text if character.isalpha()]
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return 2 * latin >= len(letters)
