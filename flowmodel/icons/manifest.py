"""Which pictures a data set holds and under which terms: what travels with a training into its MLflow run."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from flowmodel.files import read_parquet
from flowmodel.icons.splits import load_splits

COLUMNS = ("id", "source", "name", "licence", "redistributable", "origin", "sha256")


def icon_manifest(normalised: Path, splits: Path, ids: Collection[str] | None = None) -> pd.DataFrame:
    """A row an icon, sorted by id: COLUMNS, and `split`. All usable icons, or those in `ids`.

    Raises FlowmodelError when a table is missing or unreadable.
    """
    icons = read_parquet(normalised, [*COLUMNS, "status"]).to_pandas()
    icons = icons.loc[icons["status"] == "ok", list(COLUMNS)]
    icons["split"] = icons["id"].map(load_splits(splits))
    return (icons if ids is None else icons[icons["id"].isin(set(ids))]).reset_index(drop=True)


def licence_table(manifest: pd.DataFrame) -> pd.DataFrame:
    """Icons by source and licence: source, licence, redistributable, origin, icons. Works on an icons table too."""
    terms = ["source", "licence", "redistributable", "origin"]
    return manifest.groupby(terms, sort=True).size().rename("icons").reset_index()
