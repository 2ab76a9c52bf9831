"""Captions with their vectors."""

import re

import numpy as np
import pyarrow.compute as pc
import pytest

from flowmodel.data.dataset import FILES
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.captions import Captions
from flowmodel.files import read_parquet
from tests.data.helpers import with_table


@pytest.fixture(scope="module")
def captions(prepared) -> Captions:
    return Captions.load(prepared.dataset)


def test_every_caption_lies_beside_its_own_vector(captions, prepared):
    embedded = read_parquet(prepared.dataset.folder / FILES["vectors"], ["text", "pooled"]).slice(0, 50).to_pylist()
    vector_of = {row["text"]: np.array(row["pooled"], np.float32) for row in embedded}
    both = [(row, text) for row, text in enumerate(captions.table["text"]) if text in vector_of]
    assert len(both) >= 40
    for row, text in both:
        np.testing.assert_array_equal(captions.pooled_TD[row], vector_of[text])


def test_rows_are_those_of_the_icon(captions):
    ids = captions.table["icon_id"].unique()[[3, 0]].tolist()
    for icon_id, rows in zip(ids, captions.rows_of(ids), strict=True):
        assert len(rows) and set(captions.table["icon_id"][rows]) == {icon_id}


def test_prompts_are_names_and_with_several_sources_names_with_the_style(captions):
    ids = captions.table["icon_id"].unique()[:5].tolist()
    template, names, _ = captions.prompts(ids, several_sources=False)
    assert template == "name" and len(set(names)) == 5
    template, styled, vectors = captions.prompts(ids, several_sources=True)
    assert template == "name_style" and all(s.startswith(n) and s != n for s, n in zip(styled, names, strict=True))
    assert vectors.shape == (5, captions.pooled_TD.shape[1])


def test_a_caption_that_is_not_embedded_is_named(prepared, tmp_path):
    text = prepared.dataset.captions.table["text"][0]
    spoilt = with_table(prepared.dataset, "vectors", lambda table: table.filter(pc.not_equal(table["text"], text)), tmp_path)
    with pytest.raises(FlowmodelError, match=rf"vectors\.parquet: no vectors of the caption '{re.escape(text)}'"):
        Captions.load(spoilt)
