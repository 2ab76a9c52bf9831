"""The code location. Everything under `pipelines/defs` is found by itself; `[tool.dg]` in pyproject.toml says where it is."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
