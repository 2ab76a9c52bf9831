"""Finished tables are looked at once more before anything is built on them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flowmodel.data.quality import inspect_embeddings, inspect_icons
from flowmodel.files import write_parquet
from flowmodel.images.rgba import encode_png

WIDTH = 4
TEXTS = {"noto/a#name": "apple", "noto/b#name": "bear"}


@pytest.fixture
def captions(tmp_path):
    return write_parquet(tmp_path / "captions.parquet", pa.table({"caption_id": list(TEXTS), "text": list(TEXTS.values())}))


def _embeddings(path, texts=TEXTS, spoil=lambda pooled_ND, tokens: None):
    pooled_ND = np.ones((len(texts), WIDTH), np.float32)
    tokens = [np.ones((length + 1, WIDTH), np.float16) for length in range(len(texts))]
    spoil(pooled_ND, tokens)
    columns = {
        "caption_id": pa.array(texts),
        "text": pa.array(texts.values()),
        "pooled": pa.array(list(pooled_ND), pa.list_(pa.float32(), WIDTH)),
        "tokens": pa.array([list(rows_LD) for rows_LD in tokens], pa.list_(pa.list_(pa.float16(), WIDTH))),
    }
    return write_parquet(path / "embeddings.parquet", pa.table(columns), {"dimension": str(WIDTH)})


def test_icons_are_counted_as_ok_quarantined_or_undecodable(tmp_path):
    png = encode_png(np.full((4, 4, 4), 255, np.uint8))
    rows = [("a", png, "ok", ""), ("b", png[:20], "ok", ""), ("c", b"", "quarantined", "empty file")]
    table = pa.Table.from_pandas(pd.DataFrame(rows, columns=["id", "png", "status", "reason"]))
    quality = inspect_icons(write_parquet(tmp_path / "icons.parquet", table))
    assert (quality.ok, quality.quarantined, list(quality.undecodable)) == (1, {"c": "empty file"}, ["b"])


def test_complete_finite_embeddings_have_no_fault(tmp_path, captions):
    quality = inspect_embeddings(captions, _embeddings(tmp_path))
    assert (quality.encoded, quality.missing, quality.broken) == (2, [], [])


@pytest.mark.parametrize("texts", [{"noto/a#name": "apple"}, TEXTS | {"noto/b#name": "another text"}])
def test_a_caption_without_vector_or_with_that_of_another_text_is_missing(tmp_path, captions, texts):
    assert inspect_embeddings(captions, _embeddings(tmp_path, texts)).missing == ["noto/b#name"]


def test_not_a_number_in_either_kind_of_vector_is_found(tmp_path, captions):
    def spoil(pooled_ND, tokens):
        pooled_ND[0, 2] = np.nan
        tokens[1][1, 3] = np.inf

    assert inspect_embeddings(captions, _embeddings(tmp_path, spoil=spoil)).broken == list(TEXTS)


def test_a_caption_without_a_token_is_broken(tmp_path, captions):
    def spoil(pooled_ND, tokens):
        tokens[0] = tokens[0][:0]

    assert inspect_embeddings(captions, _embeddings(tmp_path, spoil=spoil)).broken == ["noto/a#name"]
