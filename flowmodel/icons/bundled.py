"""Source kind `bundled`: an `icons` table in one Parquet file, taken as it is."""

from pathlib import Path

import pandas as pd

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.icons.source_config import SourceConfig
from flowmodel.icons.table import read_icon_table


def read(config: SourceConfig, path: Path) -> pd.DataFrame:
    """The table at `path`, renamed to the configured source; licence and origin are replaced where the entry gives them."""
    _must_exist(path)
    icons = read_icon_table(path)
    icons["source"] = config.name
    icons["id"] = config.name + "/" + icons["key"]
    for field in ("licence", "origin"):
        if value := getattr(config, field):
            icons[field] = value
    return icons


def fingerprint(path: Path) -> str:
    _must_exist(path)
    return sha256_file(path)


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise FlowmodelError(f"{path}: no such file; correct its path in sources.yaml (it starts at the project's root)")
