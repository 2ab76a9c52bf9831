"""Two models on held-out icons that neither was trained on: the choice of icons, and refusals."""

import dataclasses

import numpy as np
import pytest
import torch

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.real_icons import RealIcons
from flowmodel.model.checkpoint import FINAL, Checkpoint, save_checkpoint
from flowmodel.recipes.split import Split
from flowmodel.release.paired import FEWEST, compare, unseen_by

HELD_OUT = (Split.UNSEEN_CONCEPT, Split.UNSEEN_STYLE, Split.UNSEEN_TONE)


@pytest.fixture(scope="module")
def real(prepared) -> RealIcons:
    return RealIcons.load(prepared.dataset, load_extractor(), prepared.store.root / "features")


@pytest.fixture
def changed(tiny_training, tmp_path):
    """The tiny training's checkpoint with another header, or with weights of noise."""

    def make(noise: float = 0.0, data: dict | None = None, **header) -> Checkpoint:
        checkpoint = tiny_training.checkpoint
        random = torch.Generator().manual_seed(0)
        tensors = {
            name: tensor + noise * torch.randn(tensor.shape, generator=random) if tensor.is_floating_point() else tensor
            for name, tensor in checkpoint.tensors().items()
        }
        recipe = checkpoint.header.recipe
        recipe = recipe | {"data": recipe["data"] | (data or {})}
        return save_checkpoint(tmp_path / FINAL, tensors, dataclasses.replace(checkpoint.header, recipe=recipe, **header))

    return make


@pytest.fixture
def compared(prepared, tiny_training):
    def run(challenger: Checkpoint, champion: Checkpoint):
        config = tiny_training.recipe.evaluation.model_copy(update={"seeds": (1,)})
        return compare(challenger, champion, prepared.dataset, prepared.store.root / "features", config)

    return run


def _ids(real, rows) -> set[str]:
    return {real.ids[row] for row in rows}


def test_compared_icons_were_not_used_in_training_or_validation(real):
    everything = _ids(real, unseen_by(real, (), 10_000))
    held_out = {icon_id for split in HELD_OUT for icon_id in real.of_split(split)}
    assert everything and everything <= held_out
    known = sorted(everything)[:20]
    assert _ids(real, unseen_by(real, known, 10_000)).isdisjoint(known)


def test_an_icon_that_looks_like_one_that_was_seen_is_omitted(real):
    row, twin = unseen_by(real, (), 10_000)[:2]
    looks = real.pixel_labels_M.copy()
    looks[twin] = looks[row]
    alike = dataclasses.replace(real, pixel_labels_M=looks)
    assert _ids(real, [row, twin]).isdisjoint(_ids(alike, unseen_by(alike, [real.ids[row]], 10_000)))


def test_a_concept_counts_once_however_many_sources_draw_it(real):
    rows = unseen_by(real, (), 10_000)
    keys = list(real.keys)
    keys[rows[0]] = keys[rows[1]]
    assert len(unseen_by(dataclasses.replace(real, keys=tuple(keys)), (), 10_000)) == len(rows) - 1


def test_the_choice_of_icons_is_always_the_same(real):
    few = unseen_by(real, (), 30)
    assert len(few) == 30 and np.array_equal(few, unseen_by(real, (), 30))
    assert _ids(real, few) <= _ids(real, unseen_by(real, (), 10_000))


def test_a_model_does_not_differ_from_itself(compared, tiny_training):
    comparison = compared(tiny_training.checkpoint, tiny_training.checkpoint)
    assert comparison.icons == tiny_training.recipe.evaluation.max_icons
    for difference in comparison.differences:
        assert difference.value == difference.low == difference.high == 0.0
        assert difference.challenger == difference.champion


def test_noise_is_worse_and_vice_versa_better(compared, changed, tiny_training):
    noise = changed(noise=1.0)
    worse, better = compared(noise, tiny_training.checkpoint), compared(tiny_training.checkpoint, noise)
    kid = worse.differences[0]
    assert kid.metric == "kid" and kid.lower_is_better and kid.low > 0
    for one, other in zip(worse.differences, better.differences, strict=True):
        assert one.value == pytest.approx(-other.value)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.05 * abs(one.high - one.low))


def test_with_too_few_icons_left_nothing_is_compared(compared, changed, real, tiny_training):
    rows = unseen_by(real, (), 10_000)
    champion = changed(initial_ids=tuple(sorted(_ids(real, rows[FEWEST - 1 :]))))
    with pytest.raises(FlowmodelError, match=f"only {FEWEST - 1} held-out icons are new to both models"):
        compared(tiny_training.checkpoint, champion)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"color": "rgb"}, "images are rgba and the champion's rgb"),
        ({"size": 32}, "images have 16 pixels and the champion's 32"),
    ],
)
def test_other_colors_and_other_sizes_are_not_compared(compared, changed, tiny_training, data, says):
    with pytest.raises(FlowmodelError, match=says):
        compared(tiny_training.checkpoint, changed(data=data))
