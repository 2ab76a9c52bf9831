"""A prepared data set: one immutable folder with everything that a training and an evaluation read.

Shape suffixes: N icons, 4 channels (premultiplied RGBA), H = W = size, T captions, L tokens of a caption, D caption encoder
width.
"""

import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from flowmodel.content import table_digest
from flowmodel.data.color_captions import COLOR
from flowmodel.data.quality import grouped_reasons, inspect_icons
from flowmodel.data.terms import Terms
from flowmodel.errors import FlowmodelError
from flowmodel.files import (
    Artifact,
    fsync_folder,
    parquet_metadata,
    permission_denied,
    read_json,
    read_parquet,
    sha256_json,
    write_json,
)
from flowmodel.images.rgba import pixels
from flowmodel.recipes import load_selection
from flowmodel.recipes.identity import DEFAULTS, identity
from flowmodel.recipes.schema import DataConfig
from flowmodel.store import Store

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

DESCRIPTION = "dataset.json"
FILES = {name: f"{name}.parquet" for name in ("icons", "captions", "splits")}

_FORMAT = 1
_REASONS = 5
_PREFIX = 16  # characters of the digest in the folder's name
# Columns that are excluded from the digest, because another release of a decoder may word its notes differently.
_TOLD_ELSEWHERE = ["status", "reason", "notes"]


@dataclass(frozen=True)
class Captions:
    """Caption i is row i of `table` (caption_id, icon_id, text, template, language), `pooled_TD[i]` and `tokens[i]`."""

    table: "pd.DataFrame"
    pooled_TD: "NDArray[np.float32]"  # L2-normalized
    tokens: "list[NDArray[np.float16]]"  # (L_i, D) each


@dataclass(frozen=True)
class IconDataset:
    """Icons with images, captions and splits. Each part is read on first use.

    Attributes:
        folder: its path.
        digest: digest of the content and of the recipe's section `data`; equal digests mean equal data sets.
        data: that section, as of the preparation.
        encoder, encoder_digest, text_width: the encoder of the caption vectors.
        vectors: folder of the caption vectors, shared by all data sets of a store with this encoder.
        selected: keys of the icons in `data.selection`; None for all icons.
        contents: digest of each file in FILES.
    """

    folder: Path
    digest: str
    data: DataConfig
    encoder: str
    encoder_digest: str
    text_width: int
    vectors: Path
    selected: tuple[str, ...] | None
    contents: Mapping[str, str]

    @classmethod
    def open(cls, folder: Path) -> "IconDataset":
        """Open a data set; raises FlowmodelError when `folder` holds none, or one of another format."""
        path = Path(folder) / DESCRIPTION
        if not path.is_file():
            raise FlowmodelError(f"{folder}: not a prepared data set ({DESCRIPTION} is missing); prepare it again")
        if missing := [file for file in FILES.values() if not (path.parent / file).is_file()]:
            file = path.parent / missing[0]
            raise FlowmodelError(f"{file}: missing from a prepared data set; remove {folder} and prepare it again")
        values = read_json(path)
        try:
            if values.pop("format") != _FORMAT:
                raise ValueError("another format")
            selected = values["selected"] and tuple(values["selected"])
            data = DataConfig.model_validate(values["data"])
            vectors = Path(os.path.normpath(Path(folder) / values["vectors"]))
            return cls(folder=Path(folder), **values | {"data": data, "selected": selected, "vectors": vectors})
        except (AttributeError, KeyError, TypeError, ValueError):
            raise FlowmodelError(f"{path}: not a data set of this release; remove the folder and prepare it again") from None

    @property
    def path(self) -> Path:
        """The path of the folder under the name that other code uses for files."""
        return self.folder

    @cached_property
    def _icons_and_pixels(self) -> "tuple[pd.DataFrame, NDArray[np.uint8]]":
        table = _usable(read_parquet(self.folder / FILES["icons"]))
        self._require("icons", table_digest(table))
        return table.drop_columns("rgba").to_pandas(), pixels(table["rgba"], self.data.size)

    @property
    def icons(self) -> "pd.DataFrame":
        """The usable icons, in the order of `ids`: id, source, key, name, group, license and so on, without images."""
        return self._icons_and_pixels[0]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids of the icons, sorted."""
        return tuple(self.icons["id"])

    @cached_property
    def rgba_N4HW(self) -> "Tensor":
        """The images, uint8, premultiplied; image i belongs to the icon `ids[i]`."""
        import torch

        return torch.from_numpy(self._icons_and_pixels[1])

    @cached_property
    def pixels_digest(self) -> str:
        """Digest of the images only."""
        return sha256_json(self.icons["sha256"].tolist())

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Maps icon ids to row numbers."""
        return {icon_id: row for row, icon_id in enumerate(self.ids)}

    @cached_property
    def captions(self) -> Captions:
        """The captions of the original icons. Raises FlowmodelError when the vectors of a caption are missing."""
        return self._captions(of_copies=False)

    @cached_property
    def color_captions(self) -> Captions:
        """The captions of recolored copies; empty if `data.recolored` is 0. Raises FlowmodelError as `captions` does."""
        return self._captions(of_copies=True)

    def _captions(self, of_copies: bool) -> Captions:
        from flowmodel.text.vectors import CaptionVectors

        table = self._read("captions").to_pandas()
        table = table[(table["template"] == COLOR) == of_copies].reset_index(drop=True)
        numbers, texts = table["text"].factorize()
        pooled_UD, tokens = CaptionVectors(self.vectors).read(texts.tolist())
        return Captions(table, pooled_UD[numbers], [tokens[number] for number in numbers])

    @cached_property
    def splits(self) -> dict[str, str]:
        """Split by icon id."""
        table = self._read("splits")
        return dict(zip(table["icon_id"].to_pylist(), table["split"].to_pylist(), strict=True))

    def _read(self, name: str) -> pa.Table:
        table = read_parquet(self.folder / FILES[name])
        self._require(name, table_digest(table))
        return table

    def _require(self, name: str, digest: str) -> None:
        if digest != self.contents[name]:
            raise FlowmodelError(
                f"{self.folder / FILES[name]}: changed since the data set was prepared; remove {self.folder} and prepare it again"
            )

    def selected_by(self, data: DataConfig) -> tuple[str, ...] | None:
        """Keys of the icons in `data.selection`; None for all. The data set's own list is as of its preparation."""
        return self.selected if data.selection == self.data.selection else _selected(data.selection)

    def ids_of_split(self, split: str, data: DataConfig | None = None) -> list[str]:
        """Sorted ids of the icons of `split` that `data` selects; by default, the data set's own section."""
        selected = self.selected_by(data or self.data)
        keys = None if selected is None else set(selected)
        return sorted(
            icon_id
            for icon_id, assigned in self.splits.items()
            if assigned == split and (keys is None or icon_id.partition("/")[2] in keys)
        )

    def manifest(self, ids: Collection[str] | None = None) -> "pd.DataFrame":
        """The origin and terms of the icons, or of those in `ids`: one row per icon, sorted by id."""
        from flowmodel.data.manifest import icon_manifest

        return icon_manifest(self.icons, self.splits, ids)

    def terms(self, ids: Collection[str] | None = None) -> tuple[Terms, ...]:
        """All terms of the icons, or of those in `ids`, sorted."""
        from flowmodel.data.manifest import icon_terms

        return icon_terms(self.manifest(ids))


def write_dataset(store: Store, data: DataConfig, files: Mapping[str, Artifact], embeddings: Artifact) -> IconDataset:
    """Put the prepared `files`, named as in FILES, into a folder of `store` that is named by its digest.

    Caption vectors are not copied, because other data sets share them; `embeddings` locates them. The folder is written under a
    temporary name and then renamed, so that it is never incomplete. An existing folder is kept. Raises FlowmodelError when no
    icon is usable, or a file can't be read.
    """
    icons = _usable(read_parquet(files["icons"].path))
    if not len(icons):
        raise FlowmodelError(f"no usable icon: {_why(files['icons'].path)}")
    contents = {name: files[name].digest for name in FILES} | {"icons": table_digest(icons)}
    encoder = parquet_metadata(embeddings.path)
    selected = _selected(data.selection)
    # Vectors are not hashed: encoder and captions determine them, and their last bits may differ between machines.
    content = contents | {"encoder": encoder["encoder_digest"], "selected": selected}
    digest = sha256_json({"defaults": DEFAULTS, "data": identity(data, ignore={"selection"}), "content": content})
    folder = store.datasets / digest[:_PREFIX]
    if (folder / DESCRIPTION).is_file():
        return IconDataset.open(folder)
    temporary = store.datasets / f".{folder.name}.{uuid4().hex[:8]}"
    try:
        temporary.mkdir(parents=True)
        for name, file in FILES.items():
            _link(files[name].path, temporary / file)
        description: dict[str, Any] = {
            "format": _FORMAT,
            "digest": digest,
            "data": data.model_dump(mode="json"),
            "encoder": encoder["encoder"],
            "encoder_digest": encoder["encoder_digest"],
            "text_width": int(encoder["dimension"]),
            # Stored as a relative path, so that a store can be moved.
            "vectors": os.path.relpath(store.caption_vectors(encoder["encoder_digest"]), folder),
            "selected": selected,
            "contents": contents,
        }
        write_json(temporary / DESCRIPTION, description)
        temporary.rename(folder)
        fsync_folder(store.datasets)
    except PermissionError:
        raise permission_denied(folder, "write") from None
    except OSError:
        if not (folder / DESCRIPTION).is_file():  # otherwise, another process has just made the same one
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return IconDataset.open(folder)


def _usable(icons: pa.Table) -> pa.Table:
    """The usable normalized icons."""
    return icons.filter(pc.equal(icons["status"], "ok")).drop_columns(_TOLD_ELSEWHERE).replace_schema_metadata(None)


def _why(icons: Path) -> str:
    reasons = grouped_reasons(inspect_icons(icons).quarantined.items())
    return (
        "; ".join(f"{len(ids):,} x {reason} ({ids[0]})" for reason, ids in list(reasons.items())[:_REASONS])
        or "there are no icons"
    )


def _selected(selection: str | None) -> tuple[str, ...] | None:
    return tuple(load_selection(selection)) if selection else None


def _link(source: Path, target: Path) -> None:
    """Link the file if the file system supports it, otherwise copy it. Neither is ever changed in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
