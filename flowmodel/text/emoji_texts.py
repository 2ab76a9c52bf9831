"""Names and keywords of emoji (CLDR) in many languages, from emojibase (data/bundled/emojibase.parquet)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from flowmodel.errors import FlowmodelError
from flowmodel.files import read_parquet
from flowmodel.recipes.schema import LANGUAGES
from flowmodel.shipped import shipped

PATH = shipped("bundled/emojibase.parquet")


@dataclass(frozen=True)
class Emoji:
    """One emoji in English. `order` is its position in Unicode's chart order."""

    char: str
    name: str
    keywords: tuple[str, ...]
    group: str
    subgroup: str
    order: int


@cache
def unicode_emoji() -> Mapping[str, Emoji]:
    """Maps icon keys (lowercase hexcodes without `fe0f`) to all emoji of Unicode 17, including skin tones, in Unicode's order.

    Raises FlowmodelError when the bundled file is missing.
    """
    rows = sorted(_read("en", ["char", "group", "subgroup", "order"]), key=lambda row: row["order"])
    return {
        row["key"]: Emoji(row["char"], row["name"], tuple(row["keywords"]), row["group"], row["subgroup"], row["order"])
        for row in rows
    }


@lru_cache(maxsize=4)
def emoji_labels(language: str) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Maps icon keys to name and keywords in `language`, one of recipes.schema.LANGUAGES. Raises FlowmodelError for any other."""
    if language not in LANGUAGES:
        raise FlowmodelError(f"language '{language}': emojibase has no names in it; there are {', '.join(LANGUAGES)}")
    return {row["key"]: (row["name"], tuple(row["keywords"])) for row in _read(language, [])}


def _read(language: str, more: list[str]) -> list[dict[str, Any]]:
    import pyarrow.compute as pc  # imported lazily, because few prompts contain emoji

    table = read_parquet(PATH, ["language", "key", "name", "keywords", *more])
    return table.filter(pc.equal(table["language"], language)).to_pylist()
