"""A data set and its encoder, packed and unpacked."""

import shutil
import zipfile

import numpy as np
import pytest
import torch

from benchmarks.packing import pack, unpack
from flowmodel.errors import FlowmodelError
from flowmodel.store import Store
from flowmodel.text.encoders import load_encoder

TEXTS = ("blue apple, noto style", "a lighthouse on a cliff")


@pytest.fixture(scope="module")
def packed(prepared, tmp_path_factory):
    file = tmp_path_factory.mktemp("pack") / "pack.zip"
    pack(prepared.dataset, file, TEXTS)
    return file


@pytest.fixture(scope="module")
def unpacked(packed, tmp_path_factory):
    return unpack(packed, Store(tmp_path_factory.mktemp("unpacked")), "cpu")


def test_an_unpacked_data_set_is_the_same_one(unpacked, prepared):
    dataset, own = unpacked[0], prepared.dataset
    assert dataset.digest == own.digest and dataset.ids == own.ids and dataset.splits == own.splits
    assert torch.equal(dataset.rgba_N4HW, own.rgba_N4HW)
    assert dataset.captions.table.equals(own.captions.table)


def test_vectors_of_captions_are_off_by_less_than_a_percent(unpacked, prepared):
    captions, own = unpacked[0].captions, prepared.dataset.captions
    assert np.linalg.norm(captions.pooled_TD - own.pooled_TD, axis=1).max() < 0.01
    tokens, own_tokens = (np.concatenate(each.tokens).astype(np.float32) for each in (captions, own))
    assert np.linalg.norm(tokens - own_tokens) < 0.01 * np.linalg.norm(own_tokens)


def test_additional_texts_are_encoded_and_others_are_refused(unpacked):
    encoder, own = unpacked[1], load_encoder("minilm")
    assert (encoder.name, encoder.digest, encoder.width) == (own.name, own.digest, own.width)
    assert np.abs(encoder.encode(TEXTS).pooled_BD - own.encode(TEXTS).pooled_BD).max() < 0.01
    with pytest.raises(FlowmodelError, match="'a red car': not among the packed texts"):
        encoder.encode(["a red car"])


def test_it_is_a_fraction_of_what_it_holds(packed, prepared):
    encoder = load_encoder("minilm").folder / "model.safetensors"
    whole = encoder.stat().st_size + prepared.dataset.rgba_N4HW.numel()
    assert packed.stat().st_size < whole / 4


def test_a_changed_table_is_refused(packed, unpacked, tmp_path):
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(changed, "w") as new:
        strips = [name for name in old.namelist() if name.startswith("icons/")]
        for name in old.namelist():
            # Two swapped strips of images.
            source = {strips[0]: strips[1], strips[1]: strips[0]}.get(name, name)
            new.writestr(name, old.read(source))
    store, there = Store(tmp_path / "store"), unpacked[0]
    shutil.copytree(there.vectors, store.caption_vectors(there.encoder_digest))  # which takes a while to make
    with pytest.raises(FlowmodelError, match=r"icons\.parquet: changed since the data set was prepared"):
        unpack(changed, store, "cpu")


def test_a_pack_of_an_earlier_version_is_refused(packed, tmp_path):
    with zipfile.ZipFile(packed) as new, zipfile.ZipFile(tmp_path / "old.zip", "w") as old:
        for name in new.namelist():
            old.writestr(name.replace("encoder/low", "encoder/weights.xz"), new.read(name))
    with pytest.raises(FlowmodelError, match=r"old\.zip: packed by an earlier version; pack it again"):
        unpack(tmp_path / "old.zip", Store(tmp_path / "store"), "cpu")
