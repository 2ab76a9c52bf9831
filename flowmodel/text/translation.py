"""Translates names and keywords of emoji from other languages to English, by a table that data/bundled/build.py has made.

Reading the table needs no other package. Exported models contain a copy, which the page in a browser reads as well.
"""

import json
import unicodedata
import zlib
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path

from flowmodel.errors import FlowmodelError
from flowmodel.shipped import shipped

# Maps English to languages to words with that meaning in all of these languages: {"rabbit": {"ja zh": ["兔子"]}}.
Table = Mapping[str, Mapping[str, Collection[str]]]

ENGLISH = ("en", "en-gb")
PATH = shipped("bundled/english.zlib")


class Translator:
    """Turns `兔子` into `rabbit`, and `兔子, noto style` into `rabbit, noto style`.

    Text that the table lacks stays unchanged, and so does all ASCII text, which is assumed to be English.
    """

    def __init__(self, table: Table) -> None:
        self._english = {word: english for english, own in table.items() for words in own.values() for word in words}

    def __call__(self, text: str) -> str:
        name, comma, style = text.partition(",")
        found = None if text.isascii() else self._english.get(folded(name))
        return text if found is None else f"{found}{comma}{style}"


@lru_cache(maxsize=4)
def translator(languages: Collection[str] = ENGLISH) -> Translator:
    """The translator for a model that was trained on captions in `languages`, a tuple."""
    return Translator(without(read_table(PATH), languages))


def without(table: Table, languages: Collection[str]) -> Table:
    """`table` without the words of `languages`, which a model that was trained on them knows."""
    kept = {
        english: {spoken: words for spoken, words in own.items() if not set(spoken.split()) & set(languages)}
        for english, own in table.items()
    }
    return {english: own for english, own in kept.items() if own}


def read_table(path: Path) -> Table:
    """Raises FlowmodelError when the file is missing or damaged."""
    try:
        table: Table = json.loads(zlib.decompress(path.read_bytes()))
    except (OSError, ValueError, zlib.error) as error:
        raise FlowmodelError(f"{path}: the table of translations can't be read ({error}); install flowmodel again") from None
    return table


def packed(table: Table) -> bytes:
    """The contents of the file that :func:`read_table` reads."""
    return zlib.compress(json.dumps(table, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode(), 9)


def folded(text: str) -> str:
    """The form in which the table has a word."""
    return unicodedata.normalize("NFC", text).strip().lower()
