"""The real icons that samples are compared with."""

import dataclasses

import numpy as np

from flowmodel.evaluation import features
from flowmodel.evaluation.real_icons import RealIcons, _joined
from flowmodel.images.tensors import from_unit, to_unit


def test_every_icon_has_its_own_image_prompt_and_split(real, prepared):
    count = len(real.ids)
    for values in (real.prompts, real.splits, real.groups, real.sources, real.keys, real.labels_M, real.features):
        assert len(values) == count
    assert real.rgba_M4HW.shape == (count, 4, 16, 16) and real.template == "name"
    assert {"train", "validation", "unseen_concept"} <= set(real.splits)
    some = [real.ids[7], real.ids[2]]
    assert real.rows(some).tolist() == [7, 2] and real.known(["gone/1", *some]) == some


def test_features_are_computed_once_for_a_data_set_whoever_asks(real, prepared, extractor, monkeypatch):
    def again(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(features.FeatureExtractor, "__call__", again)
    cached = RealIcons.load(prepared.dataset, extractor, prepared.store.root / "features")
    np.testing.assert_array_equal(cached.features.layout_ND, real.features.layout_ND)
    digests = (extractor.digest[:12], prepared.dataset.pixels_digest[:12])
    assert (prepared.store.root / "features" / f"features-{digests[0]}-{digests[1]}.npz").exists()


def test_icons_that_nobody_can_tell_apart_have_one_label():
    looks, prompts = np.array([0, 1, 1, 2, 3]), ["a", "a", "b", "c", "d"]  # 0 and 1 by text, 1 and 2 by look
    labels = _joined(looks, prompts)
    assert labels[0] == labels[1] == labels[2] and len({labels[0], labels[3], labels[4]}) == 3


def test_distinct_icons_are_the_first_of_each_look(real):
    twins = dataclasses.replace(real, pixel_labels_M=np.array([5, 5, 7, 5, 8]))
    assert twins.distinct(np.array([3, 1, 4, 2, 0])).tolist() == [3, 4, 2]


def test_a_redraw_is_another_sources_icon_of_the_same_key_that_looks_different(real):
    mixed = dataclasses.replace(
        real,
        keys=("1f600", "1f600", "1f600", "2764", "2764"),
        sources=("noto", "twin", "other", "noto", "noto"),
        pixel_labels_M=np.array([0, 0, 1, 2, 3]),
    )
    rows, redraws = mixed.redrawn(np.arange(5))
    assert rows.tolist() == [0, 1, 2] and redraws.tolist() == [2, 2, 0]
    rows, redraws = real.redrawn(np.arange(len(real.ids)))  # one source redraws nothing
    assert len(rows) == len(redraws) == 0


def test_without_transparency_icons_lie_on_white(real):
    flat = from_unit(to_unit(real.rgba_M4HW[:8], "rgb"))
    clear = real.rgba_M4HW[:8, 3] == 0
    assert (flat[:, 3] == 255).all() and (flat[:, :3].amin(dim=1)[clear] == 255).all()
