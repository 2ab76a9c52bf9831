"""Which concepts are trained on, which choose settings, and which nobody looks at before the final evaluation."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from flowmodel.files import Artifact, read_parquet, write_parquet
from flowmodel.icons.table import read_ok_icons
from flowmodel.recipes.schema import SplitConfig
from flowmodel.schemas import SPLIT_TABLE, validate

_SCHEMA = pa.schema([("icon_id", pa.string()), ("split", pa.string())])


def assign_splits(normalised: Path, config: SplitConfig, out: Path) -> Artifact:
    """Give every usable icon a split and write the `splits` table.

    Icons of one concept (base_key), over all sources and skin tones, stay together, and so do icons whose normalised
    pictures are identical: no copy leaks out of the training set. A group's split depends only on the seed and the group's
    own key, so that icons which are added later don't move the others (except where one connects two groups).
    """
    icons = read_ok_icons(normalised, ["id", "base_key", "sha256"])
    groups = group_concepts(icons["base_key"].tolist(), icons["sha256"].tolist())
    table = pd.DataFrame({"icon_id": icons["id"], "split": [_split(group, config) for group in groups]}, dtype="str")
    validate(SPLIT_TABLE, table, where=out)
    metadata = {"seed": str(config.seed)}
    return Artifact.of(write_parquet(out, pa.Table.from_pandas(table, schema=_SCHEMA, preserve_index=False), metadata))


def load_splits(path: Path) -> dict[str, str]:
    """Split by icon id; raises FlowmodelError when the file is missing or unreadable."""
    table = read_parquet(path, _SCHEMA.names)
    return dict(zip(table["icon_id"].to_pylist(), table["split"].to_pylist(), strict=True))


def group_concepts(base_keys: Sequence[str], digests: Sequence[str]) -> list[str]:
    """The group of each icon: icons that share a base key or a digest, directly or through others, share a group.

    A group is named by its smallest base key.
    """
    parent = {key: key for key in base_keys}

    def find(key: str) -> str:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    first_with: dict[str, str] = {}
    for key, digest in zip(base_keys, digests, strict=True):
        low, high = sorted((find(key), find(first_with.setdefault(digest, key))))
        parent[high] = low
    return [find(key) for key in base_keys]


def _split(group: str, config: SplitConfig) -> str:
    digest = hashlib.sha256(f"{config.seed}/{group}".encode()).digest()
    position = int.from_bytes(digest[:8]) / 2**64
    if position < config.unseen_concept:
        return "unseen_concept"
    # From the other end, so that changing one share doesn't move icons between the other split and training.
    return "validation" if position >= 1 - config.validation else "train"
