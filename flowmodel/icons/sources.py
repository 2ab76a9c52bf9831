"""Icon sources: what `sources.yaml` may say, and how each kind becomes an `icons` table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import ValidationError

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, sha256_json
from flowmodel.icons import bundled, folder
from flowmodel.icons.source_config import SourceConfig
from flowmodel.icons.table import write_icon_table

__all__ = ["SourceConfig", "ingest_icons", "load_sources", "read_icons", "source_fingerprint"]


@dataclass(frozen=True)
class _Kind:
    read: Callable[[SourceConfig, Path], pd.DataFrame]
    fingerprint: Callable[[Path], Any]  # a JSON value that changes when the source's content may have changed


# A new kind of source is one entry here.
_KINDS = {
    "bundled": _Kind(bundled.read, bundled.fingerprint),
    "folder": _Kind(folder.read, folder.fingerprint),
}


def load_sources(path: Path) -> list[SourceConfig]:
    """The sources listed in the YAML file at `path`: `sources: [{name: noto, kind: bundled, path: data/...}, ...]`.

    Raises FlowmodelError naming the file, the entry and the field.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FlowmodelError(f"{path}: no such file; it lists the icon sources") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FlowmodelError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    entries = content.get("sources") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries or set(content) != {"sources"}:
        raise FlowmodelError(f"{path}: must hold one list called 'sources' with at least one entry, and nothing else")
    configs = [_parse_entry(entry, where=f"{path}: sources[{i}]") for i, entry in enumerate(entries)]
    names = [config.name for config in configs]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise FlowmodelError(f"{path}: sources[{i}]: name '{name}' is taken by sources[{names.index(name)}]; choose another")
    return configs


def _parse_entry(entry: Any, where: str) -> SourceConfig:
    if not isinstance(entry, dict):
        raise FlowmodelError(f"{where}: must be a mapping with name, kind and path, not {type(entry).__name__}")
    where = f"{where} ('{entry['name']}')" if isinstance(entry.get("name"), str) else where
    try:
        config = SourceConfig.model_validate(entry)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors()]
        raise FlowmodelError(f"{where}: {'; '.join(problems)}") from None
    if config.kind not in _KINDS:
        raise FlowmodelError(f"{where}: kind: '{config.kind}' is unknown; there are {', '.join(_KINDS)}")
    return config


def _problem(item: Any) -> str:
    field = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"{field}: unknown field (known: {', '.join(SourceConfig.model_fields)})"
    if item["type"] == "missing":
        return f"{field}: missing, it must be given"
    return f"{field}: {item['msg']}, got {item['input']!r}"


def read_icons(config: SourceConfig, root: Path) -> pd.DataFrame:
    """The source's `icons` table (schemas.ICONS), sorted by id; relative paths start at `root`.

    A picture that can't be used becomes a row with status `quarantined` and the reason. Raises FlowmodelError when the
    source as a whole can't be read.
    """
    return _KINDS[config.kind].read(config, config.locate(root)).sort_values("id", ignore_index=True)


def ingest_icons(config: SourceConfig, root: Path, out: Path) -> Artifact:
    """Read the source and write its table to `out`; raises FlowmodelError as :func:`read_icons` does."""
    return write_icon_table(out, read_icons(config, root), {"source": config.name})


def source_fingerprint(config: SourceConfig, root: Path) -> str:
    """A cheap digest that changes when the source's settings or files may have changed; no picture is decoded.

    Raises FlowmodelError when the source is not there.
    """
    return sha256_json([config.model_dump(), _KINDS[config.kind].fingerprint(config.locate(root))])
