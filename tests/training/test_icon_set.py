"""The captions of a training."""

from pathlib import Path

import numpy as np
import torch

from flowmodel.data.captions import build_captions
from flowmodel.data.dataset import write_dataset
from flowmodel.data.duplicates import find_duplicates
from flowmodel.data.normalize import normalize_icons
from flowmodel.data.splits import assign_splits
from flowmodel.model.device import DevicePolicy
from flowmodel.recipes.schema import DataConfig, SplitConfig
from flowmodel.store import Store
from flowmodel.text.embeddings import embed_captions
from flowmodel.training.icon_set import load_icon_set
from tests.data.helpers import icon_row, write_icons


def test_an_icon_without_a_caption_in_the_recipe_s_languages_is_trained_on_with_its_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = [icon_row("1f600", name="grinning face"), icon_row("mine", name="my logo"), icon_row("own", captions=["Mein Stern"])]
    data = DataConfig(size=16, languages=("de",), captions=("name", "own"), split=SplitConfig(validation=0, unseen_concept=0))
    normalized = normalize_icons({"test": write_icons(tmp_path / "i.parquet", rows)}, 16, tmp_path / "n.parquet")
    captions = build_captions(normalized.path, tmp_path / "c.parquet", {}, data.captions, data.languages)
    embeddings = embed_captions(captions.path, "minilm", store, tmp_path / "e.parquet").artifact
    pairs = find_duplicates(normalized.path, tmp_path / "d.parquet")
    splits = assign_splits(normalized.path, pairs.path, data.split, tmp_path / "s.parquet")
    files = {"icons": normalized, "captions": captions, "splits": splits}
    dataset = write_dataset(store, data, files, embeddings)

    icons = load_icon_set(dataset, data, DevicePolicy.choose("cpu"), ["test/1f600", "test/mine", "test/own"])
    assert icons.captions_N.tolist() == [1, 1, 1]
    texts = dataset.captions.table["text"].tolist()
    seen = [dataset.captions.pooled_TD[texts.index(text)] for text in ("grinsendes Gesicht", "my logo", "Mein Stern")]
    assert np.array_equal(icons.first_captions(torch.arange(3)).pooled_BD, np.stack(seen))
