"""Reads tables of captions in common formats: CSV from spreadsheets in any locale, and JSON Lines.

The columns have the project's own names (file, name, keywords, captions, group, license) or those of Hugging Face's ImageFolder
(file_name, text). Encoding and delimiter are detected; if that is ambiguous, an error names the line.
"""

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowmodel.errors import FlowmodelError
from flowmodel.images.decode import EXTENSIONS

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")

_ALIASES = {
    "file_name": "file",
    "filename": "file",
    "image": "file",
    "text": "captions",
    "caption": "captions",
    "tags": "keywords",
    "licence": "license",
}
_LISTS = ("keywords", "captions")
_COLUMNS = ("file", "name", *_LISTS, "group", "license")
_DELIMITERS = ",;\t|"
_BOMS = {  # longer ones first, because UTF-32's begins like UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
_NEXT_RECORD = re.compile(rf"[^\n]*?({'|'.join(map(re.escape, EXTENSIONS))})\"?\s*[{_DELIMITERS}]", re.IGNORECASE)
# Letters of the languages that Windows-1252 was designed for. Text in another encoding, decoded as Windows-1252, has many others.
_WESTERN = {char for char in map(chr, range(0xC0, 0x100)) if char.isalpha()} | set(
    (
        b"\x8a\x8c\x8e\x9a\x9c\x9e\x9f\x80\x84\x85\x91\x92\x93\x94\x95\x96\x97\x99\xa0\xa1\xa3\xa7\xa9\xaa\xab\xae"
        b"\xb0\xb1\xb2\xb3\xb4\xb7\xba\xbb\xbc\xbd\xbe\xbf"
    ).decode("cp1252")
)
_LISTED = 5


@dataclass(frozen=True)
class Entry:
    """A table's entry for a file; `line` is its position, for messages."""

    file: str
    name: str = ""
    keywords: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    group: str = ""
    license: str = ""
    line: str = ""


@dataclass
class CaptionTable:
    """The entries of a table in order, and notes for the user about how it was read."""

    path: Path
    entries: list[Entry] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_caption_table(path: Path, encoding: str = "") -> CaptionTable:
    """Read the table at `path`; `encoding` is a Python name, or empty to detect it.

    Raises FlowmodelError naming the file and the line: it is unreadable, its encoding can't be detected, required columns are
    missing, a quote is not closed, or values are invalid.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FlowmodelError(f"{path}: can't be read ({error.strerror}); correct sources.yaml") from None
    return parse_caption_table(content, path, encoding)


def parse_caption_table(content: bytes, path: Path, encoding: str = "") -> CaptionTable:
    """Parse `content` in the format of the extension of `path`; raises as :func:`read_caption_table` does."""
    table = CaptionTable(path)
    text = _decode(content, table, encoding)
    parse = _from_csv if path.suffix.lower() in (".csv", ".tsv") else _from_json
    problems: list[str] = []
    for read in parse(text, table):
        try:
            table.entries.append(read())
        except ValueError as error:
            problems.append(str(error))
    if problems:
        more = f" (and {len(problems) - 1:,} more lines have problems)" if len(problems) > 1 else ""
        raise FlowmodelError(f"{path}: {problems[0]}{more}")
    if not table.entries:
        raise FlowmodelError(f"{path}: lists no images; write one line per file")
    return table


def _decode(content: bytes, table: CaptionTable, encoding: str) -> str:
    bom = next((name for mark, name in _BOMS.items() if content.startswith(mark)), "")
    guess = encoding or bom or _utf16_without_mark(content) or "utf-8"
    try:
        return content.decode(guess).removeprefix("\ufeff")
    except LookupError:
        raise FlowmodelError(f"{table.path}: unknown encoding '{encoding}'; correct it in sources.yaml") from None
    except UnicodeDecodeError as error:
        problem = f"not in {guess.upper().removesuffix('-SIG')} ({error.reason} at byte {error.start})"
        if not encoding and not bom:
            text = content.decode("cp1252", errors="replace")
            if words := _western_words(text):
                table.remarks.append(f"{table.path}: not in UTF-8, so read as Windows-1252 ({', '.join(words[:3])})")
                return text
        raise FlowmodelError(
            f"{table.path}: {problem}; save it as UTF-8, or set its encoding in sources.yaml (encoding: gb18030)"
        ) from None


def _utf16_without_mark(content: bytes) -> str:
    head = content[:200]
    zeros = head[::2].count(0), head[1::2].count(0)
    if max(zeros) * 4 < len(head):
        return ""
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _western_words(text: str) -> list[str]:
    """The words with non-ASCII letters, or none if one of them shows that the text is not in Windows-1252."""
    words = [word for word in re.findall(r"[^\s,;|\"]+", text) if not word.isascii()]
    for word in words:
        others = [char for char in word if not char.isascii()]
        if not _WESTERN.issuperset(others) or (len(word) > 2 and len(others) > 2 and 3 * len(others) > 2 * len(word)):
            return []
    return words


_Read = Callable[[], Entry]


def _from_csv(text: str, table: CaptionTable) -> Iterator[_Read]:
    lines = list(io.StringIO(text, newline=""))
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    delimiter = ""
    if first < len(lines) and (said := _SEP_LINE.fullmatch(lines[first])):
        delimiter, first = said[1], first + 1
    header = lines[first] if first < len(lines) else ""
    delimiter = delimiter or max(_DELIMITERS, key=lambda sign: len(set(_COLUMNS) & set(_header(header, sign))))
    columns = _header(header, delimiter)
    if problem := _missing_columns(columns):
        if columns and columns[0].endswith(EXTENSIONS):
            problem = "has no line with the names of its columns; put 'file,name,keywords' above the first line"
        raise FlowmodelError(f"{table.path}: {problem}")
    for number, values in _records(lines, first + 1, delimiter, table):
        if isinstance(values, ValueError):
            yield _raise(values)
        elif any(value.strip() for value in values):
            yield lambda values=values, number=number: _csv_entry(values, columns, f"line {number}")  # type: ignore[misc]


def _raise(error: ValueError) -> _Read:
    def read() -> Entry:
        raise error

    return read


def _header(line: str, delimiter: str) -> list[str]:
    try:
        columns = [_canonical(column) for column in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error:
        return []
    while columns and not columns[-1]:
        columns.pop()
    return columns


def _records(lines: list[str], at: int, delimiter: str, table: CaptionTable) -> Iterator[tuple[int, list[str] | ValueError]]:
    """Line number and values of each record, or its problem; a quoted value may span several lines."""
    literal: list[str] = []
    while at < len(lines):
        start = at
        values: list[str] | ValueError
        rest = iter(range(at, len(lines)))

        def taken(rest: Iterator[int] = rest) -> Iterator[str]:
            nonlocal at
            for number in rest:
                at = number + 1
                yield lines[number]

        try:
            values = next(csv.reader(taken(), delimiter=delimiter, skipinitialspace=True, strict=True), [])
            if any(_NEXT_RECORD.match(line) for line in lines[start + 1 : at]):
                values = _unclosed(start)
        except csv.Error as error:
            if "field larger" in str(error):
                values = ValueError(f"line {start + 1}: a value is too long ({error})")
            elif at > start + 1 or "unexpected end" in str(error):
                values = _unclosed(start)
            else:  # an inch mark, or a quoted word followed by more text: ordinary characters
                values = [value.strip() for value in lines[start].split(delimiter)]
                literal.append(str(start + 1))
        if isinstance(values, ValueError):
            at = start + 1
        yield start + 1, values
    if literal:
        shown = ", ".join(literal[:_LISTED]) + (", ..." if len(literal) > _LISTED else "")
        table.remarks.append(f"{table.path}: quotes inside values are kept unchanged (line {shown})")


def _unclosed(start: int) -> ValueError:
    return ValueError(f'line {start + 1}: the quote (") that opens here is not closed before the next line; close or remove it')


def _csv_entry(values: list[str], columns: list[str], line: str) -> Entry:
    while len(values) > len(columns) and not values[-1].strip():
        values = values[:-1]
    if len(values) > len(columns):
        raise ValueError(f"{line}: {len(values)} values for {len(columns)} columns; put texts with commas in quotes")
    row = dict(zip(columns, values, strict=False))
    # A caption is a sentence and may contain commas and semicolons, which separate keywords.
    keywords = re.split("[,;]", row.get("keywords", ""))
    return _entry({**row, "keywords": keywords, "captions": [row.get("captions", "")]}, line)


def _from_json(text: str, table: CaptionTable) -> Iterator[_Read]:
    if table.path.suffix.lower() == ".json":
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FlowmodelError(f"{table.path}: not valid JSON ({_short(error)})") from None
        if not isinstance(listed, list):
            raise FlowmodelError(f'{table.path}: must be a list of objects like {{"file": "cat.png", "name": "cat"}}')
        for number, values in enumerate(listed, start=1):
            yield lambda values=values, number=number: _json_entry(values, f"entry {number}")  # type: ignore[misc]
        return
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines, because a text may contain U+2028
        if line.strip():
            yield lambda line=line, number=number: _json_entry(_json_value(line, f"line {number}"), f"line {number}")  # type: ignore[misc]


def _json_value(text: str, line: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{line}: not valid JSON ({error.msg} at character {error.pos})") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{line}: not valid JSON ({_short(error)})") from None


def _json_entry(values: Any, line: str) -> Entry:
    if not isinstance(values, dict):
        raise ValueError(f'{line}: must be an object like {{"file": "cat.png", "name": "cat"}}')
    columns = [_canonical(column) for column in values]
    if problem := _missing_columns(columns):
        raise ValueError(f"{line}: {problem}")
    row = dict(zip(columns, values.values(), strict=True))
    for column in _COLUMNS:
        value = row.get(column)
        texts = [value] if isinstance(value, str) else value
        if texts is None:
            row[column] = [] if column in _LISTS else ""
        elif column in _LISTS and isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            row[column] = texts
        elif not isinstance(value, str):
            wanted = "a text or a list of texts" if column in _LISTS else "a text"
            raise ValueError(f"{line}: '{column}' must be {wanted}, got {json.dumps(value)[:60]}")
    return _entry(row, line)


def _canonical(column: str) -> str:
    column = column.strip().lower()
    return _ALIASES.get(column, column)


def _missing_columns(columns: list[str]) -> str:
    """The problem with the columns, or an empty string."""
    twice = [column for column, count in Counter(columns).items() if count > 1 and column in _COLUMNS]
    if twice:
        return f"has two columns for '{twice[0]}'; keep one of them"
    if "file" in columns and {"name", "captions"} & set(columns):
        return ""
    found = ", ".join(column[:40] for column in columns[:20]) or "nothing"
    return (
        f"must have 'file' (or 'file_name') and 'name' (or 'text'); found: {found}; optional: keywords, captions, group, license"
    )


def _entry(row: dict[str, Any], line: str) -> Entry:
    try:
        for value in (text for column in _COLUMNS for text in _texts(row.get(column))):
            value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{line}: contains a lone surrogate, which is not a character; correct the text") from None
    file = str(row["file"]).strip()
    if not file:
        raise ValueError(f"{line}: column 'file' is empty")
    keywords, captions = (tuple(filter(None, map(_plain, _texts(row.get(column))))) for column in _LISTS)
    name, group, license = (_plain(row.get(column) or "") for column in ("name", "group", "license"))
    return Entry(file, name, keywords, captions, group, license, line)


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _plain(text: str) -> str:
    """On one line."""
    return " ".join(text.split())


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
