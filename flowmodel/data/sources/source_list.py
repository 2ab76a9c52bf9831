"""Parses and validates `sources.yaml`."""

import os
import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from flowmodel.data.sources.config import SOURCE, FolderSource, SourceConfig
from flowmodel.errors import FlowmodelError
from flowmodel.recipes.renamed import warn_renamed
from flowmodel.settings_yaml import load_yaml
from flowmodel.store import PROJECT_ROOT

# By kind.
MODELS = {model.model_fields["kind"].annotation.__args__[0]: model for model in get_args(get_args(SourceConfig)[0])}

# Descriptions of fields with a pattern, for error messages.
_WANTED = {
    "name": "lower-case letters, digits, - and _, such as my-icons",
    "version": "one exact version, such as 16.0.0",
    "integrity": "the registry's value, sha512- and 88 characters",
    "package": "openmoji or emoji-datasource-google, -twitter, -facebook or -apple (other icon sets need kind: iconify)",
    "set": "the prefix of an Iconify set in lower-case letters, such as fluent-emoji-flat",
    "color": "# and six hexadecimal digits, such as #1a73e8",
    "url": "an address that begins with http:// or https:// and has no spaces",
    "contact": "an address in plain ASCII, such as you@example.org",
}


def sources_file() -> Path:
    """The list of icon sources: the file named by FLOWMODEL_SOURCES, else `pipelines/sources.yaml`."""
    return Path(os.environ.get("FLOWMODEL_SOURCES") or PROJECT_ROOT / "pipelines" / "sources.yaml").resolve()


def load_sources(path: Path) -> list[SourceConfig]:
    """The sources listed in the YAML file at `path`: `sources: [{name: noto, kind: bundled, path: data/...}, ...]`.

    A folder is a source of kind `folder` that has the folder's name. Raises FlowmodelError naming the file, the entry and the
    field.
    """
    if path.is_dir():
        return [FolderSource(name=source_name(path), kind="folder", path=str(path.resolve()))]
    try:
        content = load_yaml(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FlowmodelError(f"{path}: no such file; it lists the icon sources") from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise FlowmodelError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    entries = content.get("sources") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries or set(content) != {"sources"}:
        raise FlowmodelError(f"{path}: must contain one list called 'sources' with at least one entry, and nothing else")
    configs = [_parse_entry(entry, where=f"{path}: sources[{i}]") for i, entry in enumerate(entries)]
    names = [config.name.replace("-", "_") for config in configs]  # equal in Dagster, where names have no hyphens
    for i, name in enumerate(names):
        if name in names[:i]:
            taken = f"name '{configs[i].name}' is taken by sources[{names.index(name)}]"
            raise FlowmodelError(f"{path}: sources[{i}]: {taken}; choose another")
    return configs


def source_name(folder: Path) -> str:
    """The name of a source for `folder`: its name in lowercase ASCII letters, digits and hyphens, or `icons`."""
    return re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "icons"


def _parse_entry(entry: Any, where: str) -> SourceConfig:
    if not isinstance(entry, dict):
        raise FlowmodelError(f"{where}: must be a mapping with name and kind, not {type(entry).__name__}")
    where = f"{where} ('{entry['name']}')" if isinstance(entry.get("name"), str) else where
    if "kind" not in entry:
        raise FlowmodelError(f"{where}: kind: missing; choose one of {', '.join(MODELS)}")
    kind = entry["kind"]
    if not isinstance(kind, str) or kind not in MODELS:
        raise FlowmodelError(f"{where}: kind: '{kind}' is unknown; choose one of {', '.join(MODELS)}")
    for old in entry:
        if new := MODELS[kind].renamed.get(old):
            warn_renamed(f"{where}: {old}", new)
    try:
        return SOURCE.validate_python(entry)
    except ValidationError as error:
        problems = [_problem(item, kind) for item in error.errors()]
        raise FlowmodelError(f"{where}: {'; '.join(problems)}") from None


def _problem(item: Any, kind: str) -> str:
    field = ".".join(map(str, item["loc"][1:]))  # the first part is the kind
    if item["type"] == "extra_forbidden":
        return f"{field}: unknown field of kind {kind} (known: {', '.join(MODELS[kind].model_fields)})"
    if item["type"] == "missing":
        return f"{field}: missing; kind {kind} requires it"
    if item["type"] in ("string_pattern_mismatch", "string_type", "literal_error") and field in _WANTED:
        return f"{field}: must be {_WANTED[field]}, got {item['input']!r}"
    return f"{field}: {item['msg']}, got {item['input']!r}"
