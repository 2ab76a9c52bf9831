"""Which icons are also trained on in another color, what those copies are called, and which of them are held out.

A caption "blue apple" teaches two words where the picture is an apple that is otherwise the same and blue. Most sets have one
color a thing, so the pictures are made (flowmodel/images/recolor.py) when a training begins; here is what they are called.
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
STYLED = "-style"  # end of the id of the caption that names the drawing style

# A word of these in a name would contradict the new color.
_COLOR_WORDS = frozenset(
    ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray", "grey", "violet")
)
_HELD_OUT_OF = 8  # one of so many pairs of thing and color

# Skin and flags mean something else in other colors, and a yellow smiley is what a face looks like.
_GROUPS = ("flags", "component", "people-body", "smileys-emotion")
_ARE_SKIN = "face|eyes|person|couple|kiss|hands"  # of the hearts, which are things although their group is smileys-emotion
_MEAN_THEIR_COLORS = "flag|sunset|sunrise|rainbow|clock|thirty"
_LEAST_CHROMATIC = 0.35  # of the opaque pixels have a color at all
_LEAST_CONCENTRATED = 0.6  # of the color is one color: which word would it be?
_CHUNK = 512  # pictures that are looked at at once

_COLUMNS = ["id", "source", "name", "group", "skin_tone", "status", "rgba"]


def without_color_words(name: str) -> str:
    """What the thing is called whatever its color: "red apple" is an apple."""
    return " ".join(word for word in name.split() if word.lower() not in _COLOR_WORDS)


def is_held_out(thing: str, color: str) -> bool:
    """Whether the pair is never trained, so that it can be asked for later. `thing` is a name without words of color.

    It is a function of the two names alone, however they are capitalized: the same pairs are held out of every set, style and
    training.
    """
    return int(hashlib.sha256(f"{thing.lower()}|{color}".encode()).hexdigest(), 16) % _HELD_OUT_OF == 0


def color_captions(normalized: Path, styles: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Rows of the table `captions` of the copies of suited icons: for each color that is not held out, "blue apple" and "blue
    apple, noto style", both of the template COLOR. A suited icon has mostly one color, and is a thing: no flag, skin or face.

    `styles` gives the style of each source by name; a source that is not in it is its own style.
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
    """The color that a caption of :func:`color_captions` asks for."""
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
