"""Captions with their vectors."""

import dataclasses
import re

import numpy as np
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.english_captions import Captions
from flowmodel.text.encoders import load_encoder


@pytest.fixture(scope="module")
def captions(prepared) -> Captions:
    return Captions.load(prepared.dataset)


def test_every_caption_lies_beside_its_own_vector(captions, prepared):
    texts = prepared.dataset.captions.table["text"].unique().tolist()[:50]
    vector_of = dict(zip(texts, load_encoder("minilm").encode(texts).pooled_BD, strict=True))
    both = [(row, text) for row, text in enumerate(captions.table["text"]) if text in vector_of]
    assert len(both) >= 40
    for row, text in both:
        np.testing.assert_allclose(captions.pooled_TD[row], vector_of[text], atol=1e-5)


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


def test_a_caption_without_vectors_is_named(prepared, tmp_path):
    text = min(prepared.dataset.captions.table["text"], key=lambda text: (len(text), text))
    elsewhere = dataclasses.replace(prepared.dataset, vectors=tmp_path)
    with pytest.raises(FlowmodelError, match=rf"holds no vectors of '{re.escape(text)}'; prepare the data set again"):
        Captions.load(elsewhere)
