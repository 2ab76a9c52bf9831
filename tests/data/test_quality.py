"""Finished tables are checked before they are used."""

import numpy as np
import pytest

from flowmodel.data.quality import grouped_reasons, inspect_embeddings, inspect_icons, split_line, usable_lines
from flowmodel.files import Artifact, keep_by_content, write_parquet
from flowmodel.tables import CAPTION_EMBEDDINGS, CAPTIONS
from flowmodel.text.encoded import EncodedText
from flowmodel.text.vectors import vectors_table
from tests.data.helpers import icon_row, write_icons

WIDTH = 4
TEXTS = ["apple", "bear"]


@pytest.fixture
def captions(tmp_path):
    rows = [(f"noto/{text}#name", f"noto/{text}", text, "name", "en") for text in TEXTS]
    return CAPTIONS.write(tmp_path / "captions.parquet", rows).path


def _embeddings(path, texts=TEXTS, spoil=lambda pooled_ND, tokens: None):
    """The table, and the folder with its vectors."""
    encoded = EncodedText(
        np.ones((len(texts), WIDTH), np.float32), [np.ones((i + 1, WIDTH), np.float16) for i in range(len(texts))]
    )
    spoil(encoded.pooled_BD, encoded.tokens)
    table = vectors_table(list(texts), encoded, WIDTH)
    part = keep_by_content(path / "vectors", lambda out: Artifact.of(write_parquet(out, table))).path.stem
    metadata = {"dimension": str(WIDTH)}
    return CAPTION_EMBEDDINGS.write(path / "e.parquet", [(text, part) for text in texts], metadata).path, path / "vectors"


def test_icons_are_counted_as_usable_or_quarantined(tmp_path):
    table = write_icons(tmp_path / "icons.parquet", [icon_row("a"), icon_row("c", status="quarantined", reason="empty file")])
    quality = inspect_icons(table)
    assert (quality.ok, quality.quarantined) == (1, {"test/c": "empty file"})


def test_complete_finite_embeddings_have_no_fault(tmp_path, captions):
    quality = inspect_embeddings(captions, *_embeddings(tmp_path))
    assert (quality.encoded, quality.missing, quality.broken) == (2, [], [])


def test_a_text_without_vectors_is_missing(tmp_path, captions):
    assert inspect_embeddings(captions, *_embeddings(tmp_path, ["apple", "another text"])).missing == ["bear"]


def test_not_a_number_in_either_kind_of_vector_is_found(tmp_path, captions):
    def spoil(pooled_ND, tokens):
        pooled_ND[0, 2] = np.nan
        tokens[1][1, 3] = np.inf

    assert inspect_embeddings(captions, *_embeddings(tmp_path, spoil=spoil)).broken == TEXTS


def test_a_text_without_a_token_is_broken(tmp_path, captions):
    def spoil(pooled_ND, tokens):
        tokens[0] = tokens[0][:0]

    assert inspect_embeddings(captions, *_embeddings(tmp_path, spoil=spoil)).broken == ["apple"]


def test_reasons_are_grouped_without_what_differs_from_file_to_file(tmp_path):
    reasons = {
        "m/a": "a.png: no such file",
        "m/b": "set: two/b.v2.png: no such file",
        "m/c": "c.svg: corrupt SVG (mismatched tag: line 3, column 9)",
        "m/d": "d.svg: corrupt SVG (mismatched tag: line 12, column 1)",
        "m/e": "e.svg: corrupt SVG (mismatched tag: line 2, column 4)",
        "m/f": "f.png: no such file; did you mean 'F1.png'?",
        "m/g": "g.png: no such file; did you mean 'G2.png'?",
        "m/h": "is empty: every pixel is transparent",
    }
    groups = grouped_reasons(reasons.items())
    assert [len(ids) for ids in groups.values()] == [3, 2, 2, 1]
    assert groups["no such file"] == ["m/a", "m/b"]
    assert grouped_reasons([*reasons.items()][2:3]) == {"corrupt SVG (mismatched tag: line 3, column 9)": ["m/c"]}
    assert "is empty: every pixel is transparent" in groups
    rows = [icon_row(key[2:], source="m", status="quarantined", reason=reason) for key, reason in reasons.items()]
    lines = usable_lines(write_icons(tmp_path / "i.parquet", [*rows, icon_row("z", source="m")]))
    assert lines[0] == "1 of 9 icons are usable, 8 are quarantined:"
    assert lines[1].startswith("  3 x corrupt SVG (") and lines[1].endswith("(m/c, m/d, m/e)")


def test_a_split_is_reported_in_one_line():
    assert (
        split_line({"a": "train", "b": "train", "c": "validation"})
        == "2 of 3 icons are used for training; held out: 1 validation"
    )
