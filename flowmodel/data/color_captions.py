"""The captions of recolored copies: which icons have copies, what the copies are called, and which are held out.

The caption "blue apple" teaches two words if the image is the usual apple in blue. Most sets have only one color per object, so a
training recolors images when it starts (flowmodel/images/recolor.py). This module decides their captions.
"""

import hashlib
from collections.abc import Iterator, Mapping
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from flowmodel.files import read_parquet

if TYPE_CHECKING:
    import pandas as pd

COLOR = "color"  # the template of these captions
STYLED = "-style"  # suffix of the id of captions that name the style

# One of these words in a name would contradict the new color.
_COLOR_WORDS = frozenset(
    ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray", "grey", "violet")
)
_HELD_OUT_OF = 8  # one in so many pairs of object and color

# Skin and flags have another meaning in other colors, and a face is expected to be yellow.
_GROUPS = ("flags", "component", "people-body", "smileys-emotion")
_ARE_SKIN = "face|eyes|person|couple|kiss|hands"  # excludes faces from smileys-emotion but keeps its hearts, which are objects
_MEAN_THEIR_COLORS = "flag|sunset|sunrise|rainbow|clock|thirty"
_LEAST_CHROMATIC = 0.35  # least share of opaque pixels that have a color
_LEAST_CONCENTRATED = 0.6  # least share of the color that is one color, so that one word fits
_CHUNK = 512  # images per chunk

_COLUMNS = ["id", "source", "name", "group", "skin_tone", "status", "rgba"]


def without_color_words(name: str) -> str:
    """The name of the object without its color: "red apple" becomes "apple"."""
    return " ".join(word for word in name.split() if word.lower() not in _COLOR_WORDS)


def is_held_out(thing: str, color: str) -> bool:
    """Whether the pair of object and color is held out from training, for evaluation. `thing` is a name without color words.

    It depends on the two names only, ignoring case, so that the same pairs are held out in every set, style and training.
    """
    return int(hashlib.sha256(f"{thing.lower()}|{color}".encode()).hexdigest(), 16) % _HELD_OUT_OF == 0


def color_captions(normalized: Path, styles: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Rows of the table `captions` for recolored copies of suitable icons: for each color that is not held out, "blue apple"
    and "blue apple, noto style", both with template COLOR. A suitable icon has mostly one color and is an object, not a flag,
    skin or face.

    `styles` maps source names to styles; a source without an entry is its own style.
    """
    from flowmodel.images.recolor import PROTOTYPES

    for icon in _suited(normalized).to_dict("records"):
        thing, style = without_color_words(icon["name"]), styles.get(icon["source"], icon["source"])
        for color in PROTOTYPES:
            if not is_held_out(thing, color):
                copy = f"{icon['id']}#{COLOR}-{color}"
                yield copy, icon["id"], f"{color} {thing}", COLOR, "en"
                yield f"{copy}{STYLED}", icon["id"], f"{color} {thing}, {style} style", COLOR, "en"


def color_of(caption_id: str) -> str:
    """The color of a caption from :func:`color_captions`."""
    return caption_id.rpartition(f"#{COLOR}-")[2].removesuffix(STYLED)


def _suited(normalized: Path) -> "pd.DataFrame":
    table = read_parquet(normalized, _COLUMNS)
    table = table.filter(pc.equal(table["status"], "ok"))
    table = table.filter(pa.array(_are_things(table.drop_columns("rgba").to_pandas())))
    icons = table.drop_columns("rgba").to_pandas()
    return icons[_have_one_color(table["rgba"])] if len(icons) else icons


def _are_things(icons: "pd.DataFrame") -> "pd.Series":
    name = icons["name"]
    is_heart = name.str.contains("heart") & ~name.str.contains(_ARE_SKIN)
    is_thing = ~icons["group"].isin(_GROUPS) | is_heart
    has_name = name.map(without_color_words).astype(bool)
    return has_name & is_thing & (icons["skin_tone"] == "") & ~name.str.lower().str.contains(_MEAN_THEIR_COLORS)


def _have_one_color(rgba: pa.ChunkedArray) -> list[bool]:
    import torch

    from flowmodel.images.recolor import color_statistics
    from flowmodel.images.rgba import pixels

    size = isqrt(len(rgba[0].as_buffer()) // 4)
    suited: list[bool] = []
    for first in range(0, len(rgba), _CHUNK):
        statistics = color_statistics(torch.from_numpy(pixels(rgba.slice(first, _CHUNK), size)))
        suited += ((statistics.chromatic_N > _LEAST_CHROMATIC) & (statistics.concentration_N > _LEAST_CONCENTRATED)).tolist()
    return suited
