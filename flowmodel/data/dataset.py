"""A prepared data set: one folder that holds all a training and an evaluation read, and that never changes.

Shape suffixes: N icons, 4 channels (premultiplied RGBA), H = W = size, T captions, L tokens of one of them, D the caption
encoder's width.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flowmodel.data.splits import load_splits
from flowmodel.data.terms import Terms
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, fsync_folder, parquet_metadata, read_json, sha256_json, write_json
from flowmodel.recipes import load_selection
from flowmodel.recipes.identity import DEFAULTS, identity
from flowmodel.recipes.schema import DataConfig

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

DESCRIPTION = "dataset.json"
FILES = {
    "icons": "icons.parquet",
    "pixels": "pixels.safetensors",
    "captions": "captions.parquet",
    "vectors": "vectors.parquet",
    "splits": "splits.parquet",
}

_FORMAT = 1
_PREFIX = 16  # characters of the digest that name the folder


@dataclass(frozen=True)
class Captions:
    """Caption i is row i of `table` (caption_id, icon_id, text, template, language), `pooled_TD[i]` and `tokens[i]`."""

    table: "pd.DataFrame"
    pooled_TD: "NDArray[np.float32]"  # of length 1 each
    tokens: "list[NDArray[np.float16]]"  # (L_i, D) each


@dataclass(frozen=True)
class IconDataset:
    """Icons with pictures, captions and splits. What is asked for is read once, the first time.

    Attributes:
        folder: where it lies.
        digest: names the content and the recipe's section `data`; equal digests are equal data sets, wherever they were made.
        data: that section, as it was when the data set was prepared.
        encoder, encoder_digest, text_width: of the caption vectors.
        contents: digest of the content of each of FILES.
    """

    folder: Path
    digest: str
    data: DataConfig
    encoder: str
    encoder_digest: str
    text_width: int
    contents: Mapping[str, str]

    @classmethod
    def open(cls, folder: Path) -> "IconDataset":
        """Raises FlowmodelError when `folder` holds no prepared data set, or one of another format."""
        path = Path(folder) / DESCRIPTION
        if not path.is_file():
            raise FlowmodelError(f"{folder}: not a prepared data set ({DESCRIPTION} is missing); prepare it again")
        values = read_json(path)
        try:
            if values.pop("format") != _FORMAT:
                raise ValueError("another format")
            return cls(folder=Path(folder), **values | {"data": DataConfig.model_validate(values["data"])})
        except (AttributeError, KeyError, TypeError, ValueError):
            raise FlowmodelError(f"{path}: not a data set of this release; remove the folder and prepare it again") from None

    @property
    def path(self) -> Path:
        """The folder, by the name that a file's place has."""
        return self.folder

    @cached_property
    def icons(self) -> "pd.DataFrame":
        """The usable icons, in the order of `ids`: id, source, key, name, group, licence and so on, without pictures."""
        from flowmodel.data.tables import ICONS, read_ok_icons

        return read_ok_icons(self.folder / FILES["icons"], [name for name in ICONS.columns if name != "png"])

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the icons, sorted."""
        return tuple(self.icons["id"])

    @cached_property
    def rgba_N4HW(self) -> "Tensor":
        """The pictures, uint8, premultiplied; number i is of the icon `ids[i]`."""
        from flowmodel.images.tensors import load_tensors

        return load_tensors(self.folder / FILES["pixels"]).rgba_N4HW

    @property
    def pixels_digest(self) -> str:
        """Names the pictures alone."""
        return self.contents["pixels"]

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Number of each icon by its id."""
        return {icon_id: row for row, icon_id in enumerate(self.ids)}

    @cached_property
    def captions(self) -> Captions:
        """Raises FlowmodelError when a caption has no vectors."""
        from flowmodel.data.tables import CAPTIONS
        from flowmodel.files import read_parquet
        from flowmodel.text.embeddings import load_embeddings

        table = read_parquet(self.folder / FILES["captions"], list(CAPTIONS.columns)).to_pandas()
        vectors = self.folder / FILES["vectors"]
        embeddings = load_embeddings(vectors, self.encoder_digest)
        row_of = {text: row for row, text in enumerate(embeddings.texts)}
        rows = [row_of.get(text, -1) for text in table["text"]]
        if -1 in rows:
            raise FlowmodelError(f"{vectors}: no vectors of the caption '{table['text'][rows.index(-1)]}'")
        return Captions(table, embeddings.pooled_ND.numpy()[rows], [embeddings.tokens[row].numpy() for row in rows])

    @cached_property
    def splits(self) -> dict[str, str]:
        """Split by icon id."""
        return load_splits(self.folder / FILES["splits"])

    def ids_of_split(self, split: str, data: DataConfig | None = None) -> list[str]:
        """Ids of the icons of `split` that `data`, by default the data set's own, selects; sorted."""
        selection = (data or self.data).selection
        keys = set(load_selection(selection)) if selection else None
        return sorted(
            icon_id
            for icon_id, assigned in self.splits.items()
            if assigned == split and (keys is None or icon_id.partition("/")[2] in keys)
        )

    def manifest(self, ids: "tuple[str, ...] | list[str] | None" = None) -> "pd.DataFrame":
        """Which pictures these are and under which terms: a row an icon, or of those in `ids`, sorted by id."""
        from flowmodel.data.manifest import icon_manifest

        return icon_manifest(self.icons, self.splits, ids)

    def terms(self, ids: "tuple[str, ...] | list[str] | None" = None) -> tuple[Terms, ...]:
        """All terms that the icons, or those in `ids`, have; sorted."""
        from flowmodel.data.manifest import icon_terms

        return icon_terms(self.manifest(ids))


def write_dataset(datasets: Path, data: DataConfig, files: Mapping[str, Artifact]) -> IconDataset:
    """Put the prepared `files`, by their names in :data:`FILES`, into a folder of `datasets` that is named by its content.

    The folder is written beside its place and then renamed: whole, or not there. One that is there already is left as it is.
    """
    encoder = parquet_metadata(files["vectors"].path)
    contents = {name: files[name].digest for name in FILES}
    digest = sha256_json({"defaults": DEFAULTS, "data": identity(data), "contents": contents})
    folder = datasets / digest[:_PREFIX]
    if not (folder / DESCRIPTION).is_file():
        temporary = datasets / f".{folder.name}.{uuid4().hex[:8]}"
        temporary.mkdir(parents=True)
        try:
            for name, file in FILES.items():
                _link(files[name].path, temporary / file)
            description: dict[str, Any] = {
                "format": _FORMAT,
                "digest": digest,
                "data": data.model_dump(mode="json"),
                "encoder": encoder["encoder"],
                "encoder_digest": encoder["encoder_digest"],
                "text_width": int(encoder["dimension"]),
                "contents": contents,
            }
            write_json(temporary / DESCRIPTION, description)
            try:
                temporary.rename(folder)
            except OSError:
                if not (folder / DESCRIPTION).is_file():  # else somebody else has just made the same
                    raise
            fsync_folder(datasets)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return IconDataset.open(folder)


def _link(source: Path, target: Path) -> None:
    """The same bytes under another name, where the file system can do that; nobody changes them in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
