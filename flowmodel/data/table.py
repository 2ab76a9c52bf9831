"""The `icons` table on disk: one Arrow schema for every step that reads or writes it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from flowmodel.data.schemas import ICONS, validate
from flowmodel.files import Artifact, read_parquet, write_parquet

ARROW_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "source", "key", "char", "name")]
    + [(name, pa.list_(pa.string())) for name in ("keywords", "captions")]
    + [(name, pa.string()) for name in ("group", "subgroup", "base_key", "skin_tone")]
    + [("png", pa.binary()), ("width", pa.int64()), ("height", pa.int64())]
    + [(name, pa.string()) for name in ("sha256", "licence")]
    + [("redistributable", pa.bool_())]
    + [(name, pa.string()) for name in ("origin", "status", "reason", "notes")]
)


def read_icon_table(path: Path) -> pd.DataFrame:
    """The `icons` table at `path`; raises FlowmodelError when it is missing, unreadable or breaks the contract."""
    return validate(ICONS, read_parquet(path, ARROW_SCHEMA.names).to_pandas(), where=path)


def write_icon_table(path: Path, icons: pd.DataFrame, metadata: Mapping[str, str] | None = None) -> Artifact:
    """Check `icons` against the contract and write it; raises FlowmodelError when it breaks the contract."""
    validate(ICONS, icons, where=path)
    table = pa.Table.from_pandas(icons, schema=ARROW_SCHEMA, preserve_index=False)
    return Artifact.of(write_parquet(path, table, metadata))


def read_ok_icons(path: Path, columns: list[str]) -> pd.DataFrame:
    """`columns` of the icons at `path` that are not quarantined, in file order."""
    table = read_parquet(path, [*columns, "status"])
    icons = table.to_pandas()
    return icons.loc[icons["status"] == "ok", columns].reset_index(drop=True)
