"""What Unicode calls its emoji: names and keywords (CLDR) in many languages, from emojibase (data/bundled/emojibase.parquet)."""

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
    """One emoji in English. `order` is its place in Unicode's own order, by which charts are sorted."""

    char: str
    name: str
    keywords: tuple[str, ...]
    group: str
    subgroup: str
    order: int


@cache
def unicode_emoji() -> Mapping[str, Emoji]:
    """Every emoji of Unicode 17, skin tones included, by icon key (lower-case hexcode without `fe0f`), in Unicode's order.

    Raises FlowmodelError when the bundled file is missing.
    """
    rows = sorted(_read("en", ["char", "group", "subgroup", "order"]), key=lambda row: row["order"])
    return {
        row["key"]: Emoji(row["char"], row["name"], tuple(row["keywords"]), row["group"], row["subgroup"], row["order"])
        for row in rows
    }


@lru_cache(maxsize=4)
def emoji_labels(language: str) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Name and keywords by icon key in `language`, one of recipes.schema.LANGUAGES; raises FlowmodelError for another one."""
    if language not in LANGUAGES:
        raise FlowmodelError(f"language '{language}': emojibase has no names in it; there are {', '.join(LANGUAGES)}")
    return {row["key"]: (row["name"], tuple(row["keywords"])) for row in _read(language, [])}


def _read(language: str, more: list[str]) -> list[dict[str, Any]]:
    import pyarrow.compute as pc  # only a prompt with emoji needs it, and they are rare

    table = read_parquet(PATH, ["language", "key", "name", "keywords", *more])
    return table.filter(pc.equal(table["language"], language)).to_pylist()
