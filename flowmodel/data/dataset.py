"""A prepared data set: one folder that never changes, from which a training and an evaluation read all they need.

Shape suffixes: N icons, 4 channels (premultiplied RGBA), H = W = size, T captions, L tokens of one of them, D the caption
encoder's width.
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
_PREFIX = 16  # characters of the digest that name the folder
# What became of a picture is told where it was normalized; another release of a decoder may say it in other words.
_TOLD_ELSEWHERE = ["status", "reason", "notes"]


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
        vectors: folder of the caption vectors, which all data sets of a store with this encoder share.
        selected: keys of the icons that `data.selection` lists; None for all.
        contents: digest of the content of each of FILES.
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
        """Raises FlowmodelError when `folder` holds no prepared data set, or one of another format."""
        path = Path(folder) / DESCRIPTION
        if not path.is_file():
            raise FlowmodelError(f"{folder}: not a prepared data set ({DESCRIPTION} is missing); prepare it again")
        if missing := [file for file in FILES.values() if not (path.parent / file).is_file()]:
            file = path.parent / missing[0]
            raise FlowmodelError(f"{file}: gone from a prepared data set; remove {folder} and prepare it again")
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
        """The folder, by the name that a file's place has."""
        return self.folder

    @cached_property
    def _icons_and_pixels(self) -> "tuple[pd.DataFrame, NDArray[np.uint8]]":
        table = _usable(read_parquet(self.folder / FILES["icons"]))
        self._require("icons", table_digest(table))
        return table.drop_columns("rgba").to_pandas(), pixels(table["rgba"], self.data.size)

    @property
    def icons(self) -> "pd.DataFrame":
        """The usable icons, in the order of `ids`: id, source, key, name, group, license and so on, without pictures."""
        return self._icons_and_pixels[0]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids of the icons, sorted."""
        return tuple(self.icons["id"])

    @cached_property
    def rgba_N4HW(self) -> "Tensor":
        """The pictures, uint8, premultiplied; number i is of the icon `ids[i]`."""
        import torch

        return torch.from_numpy(self._icons_and_pixels[1])

    @cached_property
    def pixels_digest(self) -> str:
        """Names the pictures alone."""
        return sha256_json(self.icons["sha256"].tolist())

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Number of each icon by its id."""
        return {icon_id: row for row, icon_id in enumerate(self.ids)}

    @cached_property
    def captions(self) -> Captions:
        """The captions of the original icons. Raises FlowmodelError when the vectors of a caption are missing."""
        return self._captions(of_copies=False)

    @cached_property
    def color_captions(self) -> Captions:
        """The captions of recolored copies; none where `data.recolored` was 0. Raises FlowmodelError as `captions` does."""
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
        """Keys of the icons that the list in `data.selection` names; None for all. The own list is what it was when prepared."""
        return self.selected if data.selection == self.data.selection else _selected(data.selection)

    def ids_of_split(self, split: str, data: DataConfig | None = None) -> list[str]:
        """Ids of the icons of `split` that `data`, by default the data set's own, selects; sorted."""
        selected = self.selected_by(data or self.data)
        keys = None if selected is None else set(selected)
        return sorted(
            icon_id
            for icon_id, assigned in self.splits.items()
            if assigned == split and (keys is None or icon_id.partition("/")[2] in keys)
        )

    def manifest(self, ids: Collection[str] | None = None) -> "pd.DataFrame":
        """Which pictures these are and under which terms: one row per icon, or only those in `ids`, sorted by id."""
        from flowmodel.data.manifest import icon_manifest

        return icon_manifest(self.icons, self.splits, ids)

    def terms(self, ids: Collection[str] | None = None) -> tuple[Terms, ...]:
        """All terms that the icons, or those in `ids`, have; sorted."""
        from flowmodel.data.manifest import icon_terms

        return icon_terms(self.manifest(ids))


def write_dataset(store: Store, data: DataConfig, files: Mapping[str, Artifact], embeddings: Artifact) -> IconDataset:
    """Put the prepared `files`, by the names in FILES, into a folder of `store` that is named by its content.

    The vectors stay where `embeddings` tells that they are, as other data sets share them. The folder is written beside its place
    and then renamed: whole, or not there. One that is there already is left as it is. Raises FlowmodelError when no icon is
    usable, or a file can't be read.
    """
    icons = _usable(read_parquet(files["icons"].path))
    if not len(icons):
        raise FlowmodelError(f"no usable icon: {_why(files['icons'].path)}")
    contents = {name: files[name].digest for name in FILES} | {"icons": table_digest(icons)}
    encoder = parquet_metadata(embeddings.path)
    selected = _selected(data.selection)
    # Vectors are what the encoder makes of the captions; in their last bits they may differ from one machine to another.
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
            # Relative, so that a store can be moved.
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
        if not (folder / DESCRIPTION).is_file():  # else somebody else has just made the same
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return IconDataset.open(folder)


def _usable(icons: pa.Table) -> pa.Table:
    """The usable ones of the normalized icons."""
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
    """The same bytes under another name, where the file system can do that; nobody changes them in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
