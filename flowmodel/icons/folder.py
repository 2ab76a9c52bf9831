"""Source kind `folder`: PNG files and a `captions.csv` with columns file, name, keywords and optionally group.

A file that can't be used doesn't stop the others: it becomes a quarantined row that says why.
"""

import csv
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_bytes
from flowmodel.icons.keys import base_key, parse_hexcode, skin_tone, slug
from flowmodel.icons.rgba import decode_png
from flowmodel.icons.source_config import SourceConfig
from flowmodel.icons.table import ARROW_SCHEMA

CAPTIONS = "captions.csv"
_REQUIRED = ("file", "name", "keywords")
_MAX_BYTES = 16 * 2**20


def read(config: SourceConfig, folder: Path) -> pd.DataFrame:
    """The `icons` table of `folder`.

    Raises FlowmodelError when the folder or its captions.csv is missing, a column is missing, or no picture is listed.
    """
    rows = []
    taken: dict[str, str] = {}
    for entry in _read_captions(folder):
        key, char = _key(entry["file"])
        if key in taken:
            raise FlowmodelError(
                f"{folder / CAPTIONS}: '{entry['file']}' and '{taken[key]}' both give the key '{key}'; rename one of the files"
            )
        taken[key] = entry["file"]
        rows.append(_row(config, folder, entry, key, char))
    return pd.DataFrame(rows, columns=ARROW_SCHEMA.names)


def fingerprint(folder: Path) -> list[Any]:
    """The captions, and size and time of change of each listed file."""
    return [[entry, _stamp(folder / entry["file"])] for entry in _read_captions(folder)]


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return []
    return [status.st_size, status.st_mtime_ns]


def _read_captions(folder: Path) -> list[dict[str, str]]:
    if not folder.is_dir():
        raise FlowmodelError(f"{folder}: no such folder; correct its path in sources.yaml (it starts at the project's root)")
    path = folder / CAPTIONS
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            entries = list(_parse_captions(csv.reader(file, skipinitialspace=True), path))
    except FileNotFoundError:
        raise FlowmodelError(f"{path}: no such file; write one with the columns {', '.join(_REQUIRED)}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise FlowmodelError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    if not entries:
        raise FlowmodelError(f"{path}: lists no pictures; write one line for each file")
    return entries


def _parse_captions(reader: Any, path: Path) -> Iterator[dict[str, str]]:
    columns = [column.strip() for column in next(reader, [])]
    if missing := [column for column in _REQUIRED if column not in columns]:
        raise FlowmodelError(
            f"{path}: column(s) missing: {', '.join(missing)}; found: {', '.join(columns) or 'none'}; "
            f"needed: {', '.join(_REQUIRED)} (optional: group)"
        )
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        where = f"{path}: line {reader.line_num}"
        if len(values) > len(columns):
            raise FlowmodelError(f"{where}: {len(values)} values for {len(columns)} columns; put keywords with commas in quotes")
        row = dict(zip_longest(columns, (value.strip() for value in values), fillvalue=""))
        if not row["file"]:
            raise FlowmodelError(f"{where}: column 'file' is empty")
        yield {column: row.get(column, "") for column in (*_REQUIRED, "group")}


def _key(file: str) -> tuple[str, str]:
    stem = re.split(r"[/\\]", file)[-1].rsplit(".", 1)[0]
    return parse_hexcode(stem) or (slug(stem) or f"icon-{sha256_bytes(file.encode())[:12]}", "")


def _row(config: SourceConfig, folder: Path, entry: dict[str, str], key: str, char: str) -> dict[str, Any]:
    png, width, height, reason = b"", 0, 0, ""
    try:
        png = _read_file(folder, entry["file"])
        height, width = decode_png(png).shape[:2]
    except ValueError as error:
        png, reason = b"", f"{entry['file']}: {error}"
    if not entry["name"]:
        reason = reason or f"{entry['file']}: column 'name' is empty in {CAPTIONS}"
    return {
        "id": f"{config.name}/{key}",
        "source": config.name,
        "key": key,
        "char": char,
        "name": entry["name"] or key,
        "keywords": [keyword for part in re.split("[,;]", entry["keywords"]) if (keyword := part.strip())],
        "group": entry["group"],
        "subgroup": "",
        "base_key": base_key(key),
        "skin_tone": skin_tone(key),
        "png": png,
        "width": width,
        "height": height,
        "sha256": sha256_bytes(png),
        "licence": config.licence,
        "origin": config.origin or config.path,
        "status": "quarantined" if reason else "ok",
        "reason": reason,
    }


def _read_file(folder: Path, file: str) -> bytes:
    """Raises ValueError with a short reason when the file is missing, outside `folder`, or too large."""
    try:
        path = (folder / file).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ValueError("lies outside the source's folder")
        if not path.is_file():
            raise ValueError("no such file")
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES // 2**20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"can't be read ({error.strerror})") from None
