"""Which pictures a data set holds and under which terms: what travels with a training into its MLflow run."""

from collections.abc import Collection
from dataclasses import asdict, fields
from itertools import starmap
from pathlib import Path

import pandas as pd

from flowmodel.data.splits import load_splits
from flowmodel.data.terms import Terms
from flowmodel.files import read_parquet

_TERMS = [field.name for field in fields(Terms)]
COLUMNS = ("id", "source", "name", "licence", "redistributable", "origin", "sha256")


def icon_manifest(normalised: Path, splits: Path, ids: Collection[str] | None = None) -> pd.DataFrame:
    """A row an icon, sorted by id: COLUMNS, and `split`. All usable icons, or those in `ids`.

    Raises FlowmodelError when a table is missing or unreadable.
    """
    icons = read_parquet(normalised, [*COLUMNS, "status"]).to_pandas()
    icons = icons.loc[icons["status"] == "ok", list(COLUMNS)]
    icons["split"] = icons["id"].map(load_splits(splits))
    return (icons if ids is None else icons[icons["id"].isin(set(ids))]).reset_index(drop=True)


def licence_table(manifest: pd.DataFrame, others: Collection[Terms] = ()) -> pd.DataFrame:
    """Icons by source and licence: source, licence, redistributable, origin, icons. Works on an icons table too.

    Terms among `others` that no icon has get a row with 0 icons.
    """
    table = manifest.groupby(_TERMS, sort=True).size().rename("icons").reset_index()
    rows = [asdict(terms) | {"icons": 0} for terms in sorted(set(others) - set(icon_terms(manifest)))]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True) if rows else table


def icon_terms(manifest: pd.DataFrame) -> tuple[Terms, ...]:
    """All terms that icons of the manifest have, sorted."""
    return tuple(sorted(starmap(Terms, manifest[_TERMS].drop_duplicates().itertuples(index=False, name=None))))
