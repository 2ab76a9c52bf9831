"""The manifest of a data set: its icons and their terms, which are logged with a training's MLflow run."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from itertools import starmap

import pandas as pd

from flowmodel.data.terms import Terms

_TERMS = [field.name for field in fields(Terms)]
COLUMNS = ("id", "source", "name", "license", "redistributable", "origin", "sha256")


def icon_manifest(icons: pd.DataFrame, splits: Mapping[str, str], ids: Collection[str] | None = None) -> pd.DataFrame:
    """One row per icon, in the order of `icons`, with COLUMNS and `split`; all icons, or those in `ids`."""
    chosen = icons if ids is None else icons[icons["id"].isin(set(ids))]
    manifest = chosen[list(COLUMNS)].reset_index(drop=True)
    return manifest.assign(split=manifest["id"].map(splits))


def license_table(manifest: pd.DataFrame, others: Collection[Terms] = ()) -> pd.DataFrame:
    """Icons by source and license: source, license, redistributable, origin, icons. An icons table works too.

    Terms in `others` that no icon has get a row with 0 icons.
    """
    table = manifest.groupby(_TERMS, sort=True).size().rename("icons").reset_index()
    rows = [asdict(terms) | {"icons": 0} for terms in sorted(set(others) - set(icon_terms(manifest)))]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True) if rows else table


def icon_terms(manifest: pd.DataFrame) -> tuple[Terms, ...]:
    """All terms of the manifest's icons, sorted."""
    return tuple(sorted(starmap(Terms, manifest[_TERMS].drop_duplicates().itertuples(index=False, name=None))))
