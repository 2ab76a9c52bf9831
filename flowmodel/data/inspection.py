"""Inspects icons before a training: which are usable, which look alike, and what the encoder can't read."""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from flowmodel.data.captions import build_captions
from flowmodel.data.duplicates import find_duplicates, load_clusters, members_of
from flowmodel.data.normalize import normalize_icons
from flowmodel.data.quality import grouped_reasons
from flowmodel.data.sources.config import FolderSource, SourceConfig
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.folder import files_by_id
from flowmodel.data.sources.ingest import ingest_icons
from flowmodel.images.decode import open_png
from flowmodel.images.notes import split_notes
from flowmodel.tables import ICONS, NORMALIZED_ICONS
from flowmodel.text.embeddings import inspect_captions
from flowmodel.text.encoders import load_encoder
from flowmodel.text.readability import Readability


@dataclass(frozen=True)
class Findings:
    """The findings about the icons of all sources.

    Attributes:
        icons: every icon, usable or not, by id: source, name, keywords, png, original width and height, status, reason, notes.
        files: maps ids of icons that come from folders to their files.
        look_alikes: ids of icons that look alike, cluster by cluster, the largest first.
        same_name: maps names to ids of icons of one source with this name that don't look alike.
        small: ids of icons that have to be enlarged.
        readability: what the caption encoder can't read.
    """

    icons: pd.DataFrame
    files: dict[str, str]
    look_alikes: list[list[str]]
    same_name: dict[str, list[str]]
    small: list[str]
    readability: Readability

    @property
    def usable(self) -> list[str]:
        """Ids, sorted."""
        return self.icons.index[self.icons["status"] == "ok"].tolist()

    @property
    def unusable(self) -> dict[str, list[str]]:
        """Maps reasons to ids, the most frequent reason first."""
        reasons = self.icons.loc[self.icons["status"] != "ok", "reason"]
        return grouped_reasons((str(icon_id), reason) for icon_id, reason in reasons.items())

    @property
    def notes(self) -> dict[str, list[str]]:
        """Maps notes to ids of usable icons, the most frequent note first."""
        notes = self.icons.loc[(self.icons["status"] == "ok") & (self.icons["notes"] != ""), "notes"]
        return grouped_reasons((str(icon_id), note) for icon_id, text in notes.items() for note in split_notes(text))

    @property
    def is_fine(self) -> bool:
        """Whether there is nothing to fix. Icons that look alike, are small or were changed may be intended."""
        return bool(self.usable) and not self.unusable and not self.same_name and not self.readability.lost

    def image(self, icon_id: str) -> Image.Image:
        """The original image of a usable icon, straight RGBA."""
        png: bytes = self.icons["png"][icon_id]
        return open_png(png)


def inspect_sources(configs: Sequence[SourceConfig], context: SourceContext, size: int, encoder: str) -> Findings:
    """Read all `configs` again, as for a training at `size` x `size` pixels with the caption encoder `encoder`.

    Only downloads are kept. Raises FlowmodelError when a source or the encoder is not available.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = {}
        for config in configs:
            tables[config.name] = ingest_icons(config, context, folder / config.name, again=True).artifact.path
        trim = [config.name for config in configs if config.trim]
        normalized = normalize_icons(tables, size, folder / "normalized.parquet", trim).path
        icons = NORMALIZED_ICONS.read(normalized).set_index("id").drop(columns=["rgba", "width", "height"])
        came = pd.concat([ICONS.read(path) for path in tables.values()]).set_index("id")
        icons = icons.join(came[["png", "width", "height"]])
        clusters = load_clusters(find_duplicates(normalized, folder / "duplicates.parquet").path)
        captions = build_captions(normalized, folder / "captions.parquet", templates=["name", "own"])
        readability = inspect_captions(load_encoder(encoder), captions.path)
    files: dict[str, str] = {}
    for config in configs:
        if isinstance(config, FolderSource):
            files |= files_by_id(config, context)
    usable = icons[icons["status"] == "ok"]
    longer = usable[["width", "height"]].max(axis=1)
    return Findings(
        icons=icons,
        files=files,
        look_alikes=sorted(members_of(clusters).values(), key=lambda ids: (-len(ids), ids)),
        same_name=_same_name(usable, clusters),
        small=longer.index[longer < size].tolist(),
        readability=readability,
    )


def _same_name(usable: pd.DataFrame, clusters: dict[str, str]) -> dict[str, list[str]]:
    """Icons of one source with equal names, although they are different images of different concepts."""
    called: dict[tuple[str, str], list[str]] = defaultdict(list)
    for icon_id, source, name in zip(usable.index, usable["source"], usable["name"], strict=True):
        called[source, name.casefold()].append(icon_id)
    concepts = usable["base_key"].to_dict()
    return {
        name: ids
        for (_, name), ids in sorted(called.items())
        if len({concepts[icon] for icon in ids}) > 1 and len({clusters.get(icon, icon) for icon in ids}) > 1
    }
