"""Source kind `folder`: pictures, and a file that says what they show.

The captions file is CSV or JSON Lines, in the project's own words (file, name, keywords, captions, group, licence) or in those of
Hugging Face's ImageFolder (file_name, text). A picture that can't be used doesn't stop the others: it becomes a quarantined row
that says why.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from flowmodel.data.emoji_texts import unicode_emoji
from flowmodel.data.keys import parse_hexcode, slug
from flowmodel.data.sources.config import FolderSource, locate
from flowmodel.data.sources.context import Observation, Reading, SourceContext
from flowmodel.data.sources.parallel import rows_of
from flowmodel.data.sources.rows import icon_row
from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_bytes
from flowmodel.images.decode import ENDINGS, MAX_BYTES

CAPTION_FILES = ("captions.csv", "captions.jsonl", "metadata.csv", "metadata.jsonl")

_ALIASES = {"file_name": "file", "text": "captions", "caption": "captions", "license": "licence"}
_LISTS = ("keywords", "captions")
_COLUMNS = ("file", "name", *_LISTS, "group", "licence")

_Entry = dict[str, Any]  # the columns, lists where _LISTS says so


def read(config: FolderSource, context: SourceContext) -> Reading:
    """The rows of every listed picture; how many more the folder holds is told.

    Raises FlowmodelError when the folder or its captions file is missing or unreadable, or two files give the same key.
    """
    folder = locate(config.path, context.root)
    captions, entries = _read_captions(config, folder)
    taken: dict[str, str] = {}
    for entry in entries:
        key, _ = _key(entry["file"])
        if key in taken:
            raise FlowmodelError(
                f"{captions}: '{entry['file']}' and '{taken[key]}' both give the key '{key}'; rename one of them"
            )
        taken[key] = entry["file"]
    if unlisted := _unlisted(folder, entries):
        named = ", ".join(unlisted[:3]) + (", ..." if len(unlisted) > 3 else "")
        context.log(f"{captions}: pictures of the folder that no line names are left out: {len(unlisted):,} ({named})")
    return Reading(rows_of(lambda entry: _row(config, folder, entry), entries, context))


def observe(config: FolderSource, context: SourceContext) -> Observation:
    """The captions, and size and time of change of each listed file; raises FlowmodelError as :func:`read` does."""
    folder = locate(config.path, context.root)
    _, entries = _read_captions(config, folder)
    stamps = [_stamp(folder / entry["file"]) for entry in entries]
    newest = max((stamp[1] for stamp in stamps if stamp), default=0) / 1e9
    version = f"{len(entries)} files, newest of {datetime.fromtimestamp(newest):%Y-%m-%d %H:%M}"
    return Observation(fingerprint=[entries, stamps], version=version)


def _unlisted(folder: Path, entries: list[_Entry]) -> list[str]:
    """Pictures in the folder, or in folders in it, that no line names; hidden files are not meant."""
    listed = {PurePosixPath(entry["file"].replace("\\", "/")).as_posix() for entry in entries}
    pictures = (path for path in folder.rglob("[!.]*") if path.suffix.lower() in ENDINGS and path.is_file())
    return sorted({path.relative_to(folder).as_posix() for path in pictures} - listed)


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return []
    return [status.st_size, status.st_mtime_ns]


def _row(config: FolderSource, folder: Path, entry: _Entry) -> dict[str, Any]:
    key, char = _key(entry["file"])
    emoji = unicode_emoji().get(key)
    # A caption is a name too, where there is no other.
    name = entry["name"] or (entry["captions"][0] if entry["captions"] else "") or (emoji.name if emoji else "")
    return icon_row(
        config,
        key=key,
        char=char,
        name=name,
        keywords=entry["keywords"] or (emoji.keywords if emoji else ()),
        captions=entry["captions"],
        group=entry["group"] or (emoji.group if emoji else ""),
        subgroup=emoji.subgroup if emoji else "",
        file=entry["file"],
        content=_read_file(folder, entry["file"]),
        licence=entry["licence"],
        origin=config.path,
        svg_pixels=config.svg_pixels,
    )


def _key(file: str) -> tuple[str, str]:
    stem = re.split(r"[/\\]", file)[-1].rsplit(".", 1)[0]
    return parse_hexcode(stem) or (slug(stem) or f"icon-{sha256_bytes(file.encode())[:12]}", "")


def _read_file(folder: Path, file: str) -> bytes | ValueError:
    """The file's bytes, or why it can't be had: missing, outside `folder`, or too large."""
    try:
        path = (folder / file).resolve()
        if not path.is_relative_to(folder.resolve()):
            return ValueError("lies outside the source's folder")
        if not path.is_file():
            return ValueError("no such file")
        if path.stat().st_size > MAX_BYTES:
            return ValueError(f"larger than {MAX_BYTES // 2**20} MiB")
        return path.read_bytes()
    except ValueError as error:  # a name with a null byte
        return ValueError(f"can't be read ({error})")
    except OSError as error:
        return ValueError(f"can't be read ({error.strerror})")


def _read_captions(config: FolderSource, folder: Path) -> tuple[Path, list[_Entry]]:
    path = _captions_file(config, folder)
    try:
        content = path.read_bytes().decode("utf-8-sig")
        entries = list(_from_csv(content, path) if path.suffix.lower() == ".csv" else _from_json_lines(content, path))
    except OSError as error:
        raise FlowmodelError(f"{path}: can't be read ({error.strerror}); correct sources.yaml") from None
    except UnicodeDecodeError as error:
        raise FlowmodelError(f"{path}: not in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise FlowmodelError(f"{path}: not a CSV file ({error})") from None
    if not entries:
        raise FlowmodelError(f"{path}: lists no pictures; write one line for each file")
    return path, entries


def _captions_file(config: FolderSource, folder: Path) -> Path:
    if not folder.is_dir():
        raise FlowmodelError(f"{folder}: no such folder; correct its path in sources.yaml (it starts at that file's folder)")
    if config.captions:
        if Path(config.captions).suffix.lower() not in (".csv", ".jsonl"):
            raise FlowmodelError(f"source '{config.name}': captions: '{config.captions}' must end in .csv or .jsonl")
        return folder / config.captions
    for name in CAPTION_FILES:
        if (folder / name).is_file():
            return folder / name
    raise FlowmodelError(
        f"{folder}: no captions file ({', '.join(CAPTION_FILES)}); write captions.csv with the columns file, name, keywords"
    )


def _from_csv(content: str, path: Path) -> Iterator[_Entry]:
    reader = csv.reader(io.StringIO(content, newline=""), skipinitialspace=True)
    columns = [_canonical(column) for column in next(reader, [])]
    _must_have_columns(columns, path)
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        where = f"{path}: line {reader.line_num}"
        if len(values) > len(columns):
            raise FlowmodelError(f"{where}: {len(values)} values for {len(columns)} columns; put texts with commas in quotes")
        row = dict(zip_longest(columns, (value.strip() for value in values), fillvalue=""))
        # A caption is a sentence, and may have commas and semicolons; keywords are separated by them.
        keywords = [keyword for part in re.split("[,;]", row.get("keywords", "")) if (keyword := part.strip())]
        captions = [row["captions"]] if row.get("captions") else []
        yield _checked(row | {"keywords": keywords, "captions": captions}, where)


def _from_json_lines(content: str, path: Path) -> Iterator[_Entry]:
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise FlowmodelError(f"{where}: not valid JSON ({error.msg} at character {error.pos})") from None
        if not isinstance(values, dict):
            raise FlowmodelError(f'{where}: must be an object like {{"file": "cat.png", "name": "cat"}}')
        row = {_canonical(column): value for column, value in values.items()}
        _must_have_columns(list(row), path, where)
        for column in _COLUMNS:
            value = row.get(column)
            texts = [value] if isinstance(value, str) else value
            if texts is None:
                row[column] = [] if column in _LISTS else ""
            elif column in _LISTS and isinstance(texts, list) and all(isinstance(text, str) for text in texts):
                row[column] = [text.strip() for text in texts if text.strip()]
            elif not isinstance(value, str):
                wanted = "a text or a list of texts" if column in _LISTS else "a text"
                raise FlowmodelError(f"{where}: '{column}' must be {wanted}, got {json.dumps(value)[:60]}")
        yield _checked(row, where)


def _canonical(column: str) -> str:
    column = column.strip().lower()
    return _ALIASES.get(column, column)


def _must_have_columns(columns: list[str], path: Path, where: str = "") -> None:
    if "file" in columns and {"name", "captions"} & set(columns):
        return
    raise FlowmodelError(
        f"{where or path}: must have 'file' (or 'file_name') and 'name' (or 'text'); found: {', '.join(columns) or 'nothing'}; "
        "optional: keywords, captions, group, licence"
    )


def _checked(row: _Entry, where: str) -> _Entry:
    if not row["file"]:
        raise FlowmodelError(f"{where}: column 'file' is empty")
    return {column: row.get(column, [] if column in _LISTS else "") for column in _COLUMNS}
