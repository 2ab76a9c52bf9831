"""Starting from the weights of another training."""

import re

import pytest
import torch

from flowmodel.data.prepare import prepare
from flowmodel.errors import FlowmodelError
from flowmodel.model.checkpoint import read_header
from flowmodel.training.loop import train, training_digest, training_folder
from flowmodel.training.state import TrainingState
from tests.training.helpers import changed


@pytest.fixture
def fine_tuned(tiny_recipe, tiny_training):
    """A recipe that starts from the tiny training's weights."""
    return changed(tiny_recipe, training={"init_from": str(tiny_training.checkpoint.path), "steps": 5, "learning_rate": 1e-4})


def test_it_begins_with_the_averaged_weights(fine_tuned, tiny_training, prepared):
    state = TrainingState(fine_tuned, prepared.dataset, "digest")
    weights = tiny_training.checkpoint.tensors("ema.")
    for name, parameter in state.network.named_parameters():
        assert torch.equal(parameter, weights[name]), name


def test_it_learns_on_from_where_the_other_has_ended(fine_tuned, prepared, tmp_path):
    scratch = changed(fine_tuned, training={"init_from": None})
    losses = {}
    for name, recipe in (("from weights", fine_tuned), ("from nothing", scratch)):
        header = read_header(train(recipe, prepared.dataset, tmp_path / name).checkpoint.path)
        losses[name] = header.best.loss
    assert losses["from weights"] < 0.8 * losses["from nothing"]


def test_the_training_is_named_by_the_weights_and_not_by_where_they_lie(
    fine_tuned, tiny_recipe, tiny_training, prepared, tmp_path
):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(tiny_training.checkpoint.path.read_bytes())
    moved = changed(fine_tuned, training={"init_from": str(copy)})
    own = training_digest(fine_tuned, prepared.dataset)
    assert training_digest(moved, prepared.dataset) == own
    assert training_digest(changed(fine_tuned, training={"init_from": None}), prepared.dataset) != own
    assert training_folder(tiny_training.store, fine_tuned, prepared.dataset).name.endswith(own[:12])


@pytest.mark.parametrize(
    ("sections", "complaint"),
    [
        ({"network": {"channels": [32, 32]}}, r"trained with network\.channels \[16, 32\], this recipe has \[32, 32\]"),
        ({"data": {"color": "rgb"}}, r"trained with data\.color rgba, this recipe has rgb"),
        ({"objective": {"prediction": "velocity"}}, r"trained with objective\.prediction data, this recipe has velocity"),
    ],
)
def test_weights_of_another_make_are_refused(fine_tuned, prepared, tmp_path, sections, complaint):
    with pytest.raises(FlowmodelError, match=complaint):
        train(changed(fine_tuned, **sections), prepared.dataset, tmp_path / "training")
    assert not (tmp_path / "training").exists()


def test_images_may_be_larger_where_the_stem_is_so_too(fine_tuned, tiny_training, tmp_path):
    larger = changed(fine_tuned, data={"size": 32}, network={"patch_size": 4})
    dataset = prepare(larger, tiny_training.store)
    state = TrainingState(larger, dataset, "digest")
    weights = tiny_training.checkpoint.tensors("ema.")
    resized = {name for name, parameter in state.network.named_parameters() if parameter.shape != weights[name].shape}
    assert resized == {"stem.weight", "head.weight", "head.bias"}
    assert all(
        torch.equal(parameter, weights[name]) for name, parameter in state.network.named_parameters() if name not in resized
    )
    with pytest.raises(FlowmodelError, match=r"trained with network\.patch_size 2, this recipe has 4"):
        train(changed(larger, data={"size": 16}), dataset, tmp_path / "training")


def test_images_may_be_larger_where_the_network_has_a_level_more(fine_tuned, tiny_training, tmp_path):
    deeper = changed(fine_tuned, data={"size": 32}, network={"channels": [16, 16, 32]})
    dataset = prepare(deeper, tiny_training.store)
    own = dict(TrainingState(deeper, dataset, "digest").network.named_parameters())
    untrained = dict(TrainingState(changed(deeper, training={"init_from": None}), dataset, "digest").network.named_parameters())
    weights = tiny_training.checkpoint.tensors("ema.")
    outer = ("stem", "head", "head_norm", "down.0", "downsample.0", "up.2", "upsample.1")
    for name, parameter in own.items():
        is_new = name.startswith(tuple(f"{part}." for part in outer))
        given = re.sub(r"^(down|downsample)\.(\d)", lambda found: f"{found[1]}.{int(found[2]) - 1}", name)
        assert torch.equal(parameter, untrained[name] if is_new else weights[given]), name
    with pytest.raises(FlowmodelError, match=r"trained with network\.channels \[16, 32\], this recipe has \[16, 16, 32\]"):
        train(changed(deeper, data={"size": 16}), dataset, tmp_path / "training")


def test_dropout_may_differ(fine_tuned, prepared, tmp_path):
    assert train(changed(fine_tuned, network={"dropout": 0.1}), prepared.dataset, tmp_path).steps == 5


def test_what_is_not_a_finished_checkpoint_is_refused(fine_tuned, prepared, tmp_path):
    recipe = changed(fine_tuned, training={"init_from": str(tmp_path / "nowhere.safetensors")})
    with pytest.raises(FlowmodelError, match=r"nowhere\.safetensors: no such checkpoint"):
        train(recipe, prepared.dataset, tmp_path / "training")
    TrainingState(changed(fine_tuned, training={"init_from": None}), prepared.dataset, "digest").save(
        tmp_path / "step.safetensors", 1
    )
    recipe = changed(fine_tuned, training={"init_from": str(tmp_path / "step.safetensors")})
    with pytest.raises(FlowmodelError, match=r"step\.safetensors holds no averaged weights of a finished training"):
        train(recipe, prepared.dataset, tmp_path / "training")
