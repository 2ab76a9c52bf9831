"""Several captions an icon: a single text for each would invite the model to memorise it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from flowmodel.files import Artifact, write_parquet
from flowmodel.icons.table import read_ok_icons
from flowmodel.schemas import CAPTIONS, validate

TEMPLATES = ("name", "name_keywords", "name_style")

_MAX_KEYWORDS = 5
_SCHEMA = pa.schema([(name, pa.string()) for name in ("caption_id", "icon_id", "text", "template")])


def caption_texts(name: str, keywords: Iterable[str], style: str) -> dict[str, str]:
    """Text by template: `red heart`, `red heart, love, valentine`, `red heart, noto style`.

    Up to five keywords, in their order, that say something the name doesn't. Without any the text is the name alone: every
    icon has every template.
    """
    known = set(name.lower().split())
    chosen: dict[str, str] = {}
    for keyword in keywords:
        if len(chosen) < _MAX_KEYWORDS and not set(keyword.lower().split()) <= known:
            chosen.setdefault(keyword.lower(), keyword)
    return {
        "name": name,
        "name_keywords": ", ".join([name, *chosen.values()]),
        "name_style": f"{name}, {style} style",
    }


def build_captions(normalised: Path, out: Path, styles: Mapping[str, str] | None = None) -> Artifact:
    """Write the `captions` table of the usable icons: one row an icon and template, caption_id = icon_id#template.

    `styles` gives the style of each source by name; a source that is not in it is its own style.
    """
    icons = read_ok_icons(normalised, ["id", "source", "name", "keywords"])
    rows = [
        (f"{icon_id}#{template}", icon_id, text, template)
        for icon_id, source, name, keywords in zip(*(icons[column] for column in icons), strict=True)
        for template, text in caption_texts(name, keywords, (styles or {}).get(source, source)).items()
    ]
    captions = validate(CAPTIONS, pd.DataFrame(rows, columns=_SCHEMA.names), where=out)
    return Artifact.of(write_parquet(out, pa.Table.from_pandas(captions, schema=_SCHEMA, preserve_index=False)))
