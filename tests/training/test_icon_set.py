"""Which captions a training sees."""

from pathlib import Path

import torch

from flowmodel.data.captions import build_captions
from flowmodel.data.dataset import write_dataset
from flowmodel.data.duplicates import find_duplicates
from flowmodel.data.normalize import normalise_icons
from flowmodel.data.splits import assign_splits
from flowmodel.images.tensors import pack_tensors
from flowmodel.model.device import DevicePolicy
from flowmodel.recipes.schema import DataConfig, SplitConfig
from flowmodel.text.embeddings import embed_captions, load_embeddings
from flowmodel.training.icon_set import load_icon_set
from tests.data.helpers import icon_row, write_icons


def test_an_icon_without_a_caption_in_the_recipe_s_languages_is_trained_on_with_its_name(tmp_path: Path) -> None:
    rows = [icon_row("1f600", name="grinning face"), icon_row("mine", name="my logo"), icon_row("own", captions=["Mein Stern"])]
    data = DataConfig(size=16, languages=("de",), captions=("name", "own"), split=SplitConfig(validation=0, unseen_concept=0))
    normalised = normalise_icons({"test": write_icons(tmp_path / "i.parquet", rows)}, 16, tmp_path / "n.parquet")
    captions = build_captions(normalised.path, tmp_path / "c.parquet", {}, data.captions, data.languages)
    embeddings = embed_captions(captions.path, "minilm", tmp_path / "e.parquet").artifact
    pairs = find_duplicates(normalised.path, tmp_path / "d.parquet")
    splits = assign_splits(normalised.path, pairs.path, data.split, tmp_path / "s.parquet")
    tensors = pack_tensors(normalised.path, tmp_path / "t.safetensors")
    files = {"icons": normalised, "pixels": tensors, "captions": captions, "vectors": embeddings, "splits": splits}
    dataset = write_dataset(tmp_path / "datasets", data, files)

    icons = load_icon_set(dataset, data, DevicePolicy.choose("cpu"), ["test/1f600", "test/mine", "test/own"])
    assert icons.captions_N.tolist() == [1, 1, 1]
    known = load_embeddings(embeddings.path)
    seen = [known.pooled_ND[known.texts.index(text)] for text in ("grinsendes Gesicht", "my logo", "Mein Stern")]
    assert torch.equal(icons.first_captions(torch.arange(3)).pooled_BD, torch.stack(seen))
