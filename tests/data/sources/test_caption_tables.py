import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowmodel.data.sources.caption_tables import CaptionTable, Entry, parse_caption_table
from flowmodel.errors import FlowmodelError


def parse(content: bytes | str, name: str = "captions.csv", encoding: str = "") -> CaptionTable:
    return parse_caption_table(content.encode() if isinstance(content, str) else content, Path(name), encoding)


def names(table: CaptionTable) -> dict[str, str]:
    return {entry.file: entry.name for entry in table.entries}


SPREADSHEET = 'file;name;keywords\r\nkite.png;Größe;"rot, rund"\r\ndrum.png;la fenêtre;\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_encoding_and_delimiter_of_a_spreadsheet_are_found(encoding: str, delimiter: str) -> None:
    table = parse(SPREADSHEET.replace(";", delimiter).encode(encoding))
    assert names(table) == {"kite.png": "Größe", "drum.png": "la fenêtre"}
    assert table.entries[0].keywords == ("rot", "rund")
    assert ("Windows-1252" in "".join(table.remarks)) == (encoding == "cp1252")


def test_a_line_that_names_the_delimiter_is_used() -> None:
    assert names(parse("sep=|\nfile|name\na.png|one; two, three\n")) == {"a.png": "one; two, three"}


@pytest.mark.parametrize(("text", "encoding"), [("風船", "gb18030"), ("アイコン", "shift_jis"), ("воздушный змей", "cp1251")])
def test_other_encodings_are_refused_and_read_where_they_are_named(text: str, encoding: str) -> None:
    content = f"file,name\na.png,{text}\n".encode(encoding)
    with pytest.raises(FlowmodelError, match=r"captions\.csv: not in UTF-8 .*set its encoding in sources\.yaml"):
        parse(content)
    assert names(parse(content, encoding=encoding)) == {"a.png": text}
    with pytest.raises(FlowmodelError, match="unknown encoding 'klingon'"):
        parse(content, encoding="klingon")


def test_empty_surplus_cells_are_ignored() -> None:
    assert names(parse("file,name,,\na.png,kite,,\nb.png,drum,,,,\n")) == {"a.png": "kite", "b.png": "drum"}
    with pytest.raises(FlowmodelError, match="line 3: 4 values for 2 columns"):
        parse("file,name\na.png,kite\nb.png,drum,,x\n")


def test_quotes_inside_values_stay_and_are_reported() -> None:
    table = parse('file,name,keywords\na.png,"27" screen,tv\nb.png,"say ""hi""",x\nc.png,the "big" one,y\n')
    assert names(table) == {"a.png": '"27" screen', "b.png": 'say "hi"', "c.png": 'the "big" one'}
    assert [remark for remark in table.remarks if "line 2" in remark]


@pytest.mark.parametrize(
    "lines",
    [
        'a.png,"kite\nb.png,drum\n',
        'a.png,"kite\nb.png,drum\nc.png,"horn"\n',
        'a.png,"kite\nb.png,drum\nc.png,horn"\n',
        'a.png,"kite',
    ],
)
def test_an_unclosed_quote_swallows_no_line(lines: str) -> None:
    with pytest.raises(FlowmodelError, match=r"line 2: the quote .* is not closed"):
        parse("file,name\n" + lines)


def test_a_value_may_span_several_lines() -> None:
    table = parse('file,name\na.png,"a kite\r\nwith a tail"\nb.png,drum\n')
    assert names(table) == {"a.png": "a kite with a tail", "b.png": "drum"}
    assert [entry.line for entry in table.entries] == ["line 2", "line 4"]


def test_every_wrong_line_is_counted_and_the_first_one_shown() -> None:
    with pytest.raises(FlowmodelError, match=r"line 2: 3 values .*\(and 2 more lines"):
        parse("file,name\na.png,one,two\nb.png,fine\n,nothing\nc.png,x,y\n")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a.png,kite\nb.png,drum\n", "no line with the names of its columns"),
        ("file,name,name\na.png,x,y\n", "two columns for 'name'"),
        ("", "found: nothing"),
        ("file,name\n\n", "lists no images"),
    ],
)
def test_a_meaningless_table_gives_one_clear_line(content: str, problem: str) -> None:
    with pytest.raises(FlowmodelError, match=problem) as caught:
        parse(content)
    assert "\n" not in str(caught.value)


def test_json_lines_are_not_cut_at_unicode_line_separators() -> None:
    lines = '{"file": "a.png", "name": "up\u2028down"}\r\n{"file": "b.png", "caption": ["one\\ntwo"]}\n'
    assert parse(lines, "x.jsonl").entries == [
        Entry("a.png", "up down", line="line 1"),
        Entry("b.png", captions=("one two",), line="line 2"),
    ]


def test_a_list_in_json_is_read_too() -> None:
    listed = [{"file": "a.png", "name": "kite"}, {"file": "b.png"}]
    assert names(parse(json.dumps(listed[:1]), "captions.json")) == {"a.png": "kite"}
    with pytest.raises(FlowmodelError, match=r"entry 2: must have 'file'"):
        parse(json.dumps(listed), "captions.json")


@pytest.mark.parametrize(
    "line", ['{"file": "a.png", "name": "\\ud800"}', "[" * 100_000, '{"file": "a.png", "name": %s}' % ("1" * 5000)]
)
def test_hostile_json_gives_one_clear_line(line: str) -> None:
    with pytest.raises(FlowmodelError, match="line 1"):
        parse(line, "captions.jsonl")


CELL = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e"), max_size=8
)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), st.sampled_from(",;\t"), st.sampled_from(["utf-8", "utf-16"]))
def test_what_a_spreadsheet_writes_comes_back(rows: list[tuple[str, str]], delimiter: str, encoding: str) -> None:
    quoted = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in (f"{i}.png", *row)) for i, row in enumerate(rows)]
    text = "\r\n".join([delimiter.join(("file", "name", "text")), *quoted]) + "\r\n"
    table = parse(text.encode(encoding))
    assert [entry.name for entry in table.entries] == [" ".join(name.split()) for name, _ in rows]
    assert [entry.captions for entry in table.entries] == [tuple(filter(None, (" ".join(text.split()),))) for _, text in rows]


SEEDS = (
    SPREADSHEET.encode(),
    SPREADSHEET.encode("utf-16"),
    b'file,name,captions\na.png,"kite ""x""",one\n\nb.png,drum,"two\nlines"\n',
    b'{"file": "a.png", "name": "kite", "keywords": ["x", "y"]}\n{"file_name": "b.png", "text": "drum"}\n',
)
MUTATION = st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=6))


@pytest.mark.slow
@settings(max_examples=2500)
@given(st.sampled_from(SEEDS), st.lists(MUTATION, max_size=6), st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.json"]))
@example(b"\xff\xfea", [], "a.csv")
@example(b"file,name\n\x00.png,\x00", [], "a.csv")
def test_damaged_tables_are_read_or_refused_in_one_line(
    seed: bytes, mutations: list[tuple[float, int, bytes]], name: str
) -> None:
    """Every line of text becomes an entry, or the table is refused with a reason."""
    content = bytearray(seed)
    for place, removed, inserted in mutations:
        at = int(place * len(content))
        content[at : at + removed] = inserted
    try:
        table = parse(bytes(content), name)
    except FlowmodelError as error:
        assert str(error).startswith(name) and "\n" not in str(error)
    else:
        assert table.entries
        for entry in table.entries:
            assert entry.file and isinstance(entry.name, str)
            assert not {"\n", "\r"} & set("".join((entry.name, *entry.captions, *entry.keywords, entry.group)))
            "".join((entry.file, entry.name, *entry.captions, *entry.keywords, entry.group, entry.license)).encode()
