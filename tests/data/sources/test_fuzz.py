"""Damaged and hostile tables: each is read without losing an intact line, or refused in one line.

FLOWMODEL_FUZZ=10000 sets the number of each kind; the default is some hundreds.
"""

import json
import os
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from flowmodel.data.sources.caption_tables import parse_caption_table
from flowmodel.data.sources.config import BundledSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.ingest import read_icons
from flowmodel.errors import FlowmodelError
from tests.data.helpers import icon_row, write_icons
from tests.images.mutations import mutated

INPUTS = int(os.environ.get("FLOWMODEL_FUZZ", "400"))
SECONDS = 3600 if INPUTS > 1000 else 300

WORDS = ("ant", "bär", "cat", "dog", "elk", "fox")
FILES = [f"icons/{word}.{ending}" for word in WORDS for ending in ("png", "svg")]

SIGNS = [
    '"',
    "'",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r",
    "\n\n",
    "\0",
    "\ufeff",
    "\u2028",
    "\x85",
    "\u202e",
    "\\",
    "{",
    "]",
    "🐌",
    "e\u0301",
    " " * 99,
]
VALUES = [
    "null",
    "NaN",
    "[]",
    "{}",
    "[[]]",
    "true",
    "1e999",
    '"\\ud800"',
    '""',
    '"a\nb"',
    '"',
    "[" * 2000,
    "9" * 5000,
    '["a", null]',
    '"\\u0000"',
]


def tables() -> list[tuple[str, str, bytes]]:
    """Name, encoding and content of tables that list FILES, one line each except for a caption on two lines."""
    found = []
    for delimiter, encoding, start in (
        (",", "utf-8", ""),
        (";", "utf-8-sig", ""),
        ("\t", "utf-16", ""),
        (";", "cp1252", "sep=;\r\n"),
        ("|", "utf-16-le", ""),
    ):
        lines = [f"file{delimiter}name{delimiter}keywords"]
        for number, file in enumerate(FILES):
            name = ('"a name, in quotes; with | signs"', "a name", '27" wide', '"one ""word"""')[number % 4]
            lines.append(f"{file}{delimiter}{name}{delimiter}{number}")
        found.append(("captions.csv", encoding, (start + "\r\n".join(lines) + "\r\n").encode(encoding)))
    entries = [{"file_name": file, "text": "what it shows", "tags": ["a", str(number)]} for number, file in enumerate(FILES)]
    lines_of_json = "".join(json.dumps(entry, ensure_ascii=number % 2 == 0) + "\n" for number, entry in enumerate(entries))
    found.append(("captions.jsonl", "utf-8", lines_of_json.encode()))
    found.append(("captions.json", "utf-8", json.dumps(entries, indent=0).encode()))
    return found


def retyped(text: str, seed: int) -> str:
    """`text` with one to three typical changes: characters, lines and values in unexpected places."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(text) + 1)
        end = text.find("\n", start) + 1 or len(text)
        match chance.randrange(5):
            case 0:
                text = text[:start] + chance.choice(SIGNS) + text[start:]
            case 1:  # a line twice, or elsewhere
                text = text[:end] + text[start:end] + text[end:]
            case 2:
                text = text[:start] + text[end:]
            case 3 if values := list(re.finditer(r'"[^"]*"|\d+', text)):
                found = chance.choice(values)
                text = text[: found.start()] + chance.choice(VALUES) + text[found.end() :]
            case _:
                text = text.replace(*chance.choice([("\r\n", "\n"), ("\n", "\r"), (",", ";"), ('"', "'"), (":", ": ")]))
    return text


@pytest.mark.timeout(SECONDS)
def test_every_table_is_read_without_loss_or_gives_one_line_that_says_why_not() -> None:
    seeds, found = tables(), Counter[str]()
    lines = {line for _, encoding, good in seeds for line in good.decode(encoding).splitlines()}
    heads = {line for line in lines if "keywords" in line or "{" in line}
    for seed in range(INPUTS):
        name, encoding, good = seeds[seed % len(seeds)]
        content = mutated(good, seed) if seed % 2 else retyped(good.decode(encoding), seed).encode(encoding, "replace")
        try:
            table = parse_caption_table(content, Path(name))
        except FlowmodelError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
            found["refused"] += 1
            continue
        found["read"] += 1
        assert all(entry.file and "\n" not in entry.name for entry in table.entries)
        text = content.decode(encoding, errors="replace")
        whole = set(text.splitlines()) & set(good.decode(encoding).splitlines())
        read = {entry.file for entry in table.entries}
        listed = [file for file in FILES if any(file in line for line in whole)]
        assert len(table.entries) >= len(listed), (seed, content)
        if whole & heads:  # otherwise the files may be in another column and would not be found later
            assert read.issuperset(listed), (seed, content)
    assert INPUTS / 10 < found["read"] < INPUTS, found


@pytest.mark.timeout(SECONDS)
def test_every_parquet_table_is_read_or_gives_one_line_that_says_why_not(tmp_path: Path) -> None:
    config, context = BundledSource(name="mine", kind="bundled", path="mine.parquet"), SourceContext(tmp_path, tmp_path)
    good = write_icons(tmp_path / "good.parquet", [icon_row(f"key-{number}") for number in range(5)]).read_bytes()
    found = Counter[str]()
    for seed in range(INPUTS):
        (tmp_path / "mine.parquet").write_bytes(mutated(good, seed))
        try:
            rows = read_icons(config, context).rows
        except FlowmodelError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
            found["refused"] += 1
            continue
        found["read"] += 1
        assert len(rows) == 5
    assert found["refused"] > INPUTS / 10, found
