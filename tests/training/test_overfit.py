"""The shortest proof that network, objective, optimizer, averages and solver fit together: four memorized icons.

Shape suffixes: N icons, C channels, H/W height and width.
"""

import time

import pytest
import torch

from flowmodel.images.tensors import to_unit
from flowmodel.model.generator import Generator
from flowmodel.recipes import load_recipe, load_selection
from flowmodel.training.loop import train
from tests.conftest import TINY
from tests.training.helpers import changed

# Root mean square errors of samples, in a range of 2: the threshold of success, and a bound that the failing network exceeds.
LEARNED, FAILED = 0.05, 0.25


@pytest.fixture(scope="module")
def four_icons(tiny_recipe, prepared, tmp_path_factory):
    """The path of a selection of four icons, and their ids."""
    well_known = set(load_selection("well_known"))
    ids = [i for i in prepared.dataset.ids_of_split("train", tiny_recipe.data) if i.partition("/")[2] in well_known][::40][:4]
    path = tmp_path_factory.mktemp("four") / "four.txt"
    path.write_text("\n".join(i.partition("/")[2] for i in ids))
    return path, ids


def _error(prepared, ids, checkpoint, recipe):
    """Error of the checkpoint's samples for the icons' names, from two noises."""
    captions = prepared.dataset.captions.table
    names = captions[captions["template"] == "name"].set_index("icon_id")["text"]
    drawn = [Generator.load(checkpoint).sample([names[i] for i in ids], seed=seed, steps=16, guidance=1.0) for seed in (1, 2)]
    dataset = prepared.dataset
    real_NCHW = to_unit(dataset.rgba_N4HW[[dataset.row_of[i] for i in ids]], recipe.data.color)
    drawn_NCHW = to_unit(torch.cat(drawn), recipe.data.color)
    return (drawn_NCHW - real_NCHW.repeat(2, 1, 1, 1)).square().mean().sqrt().item()


def _learn(recipe, prepared, four_icons, folder):
    """The error after a short training, and its CPU seconds."""
    selection, ids = four_icons
    training = {"steps": 400, "checkpoint_every": 400, "sample_every": 400, "log_every": 100, "ema_snapshots": 2, "ema": 0.05}
    training |= {"learning_rate": 3e-3, "validation": {"every": 0}, "augmentation": {"probability": 0}}
    recipe = changed(recipe, training=training, data={"selection": str(selection), "captions": ["name"]})
    started = time.process_time()
    checkpoint = train(recipe, prepared.dataset, folder).checkpoint.path
    return _error(prepared, ids, checkpoint, recipe), time.process_time() - started


@pytest.mark.slow
def test_four_icons_are_learned_by_memorization_in_less_than_a_minute(tiny_recipe, prepared, four_icons, tmp_path):
    error, seconds = _learn(tiny_recipe, prepared, four_icons, tmp_path)
    assert error < LEARNED and seconds < 60


@pytest.mark.slow
def test_the_grayscale_cnn_cannot_even_learn_four_icons(prepared, four_icons, tmp_path):
    """It sees only a neighborhood, so the parts of an image are independent."""
    shared = [override for override in TINY if not override.startswith(("name=", "network."))]
    error, _ = _learn(load_recipe("grayscale_cnn", shared), prepared, four_icons, tmp_path)
    assert error > FAILED
