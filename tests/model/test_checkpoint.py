"""A damaged or edited checkpoint is refused with one line that names file and field."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.model.checkpoint import FINAL, Checkpoint, read_header, save_checkpoint, step_checkpoints
from flowmodel.training.loop import train
from flowmodel.training.observers import TrainingObserver


class _StopAtCheckpoint(TrainingObserver):
    def on_checkpoint(self, step, path):
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def unfinished(tiny_recipe, prepared, tmp_path_factory):
    """A folder with the checkpoint of step 10."""
    folder = tmp_path_factory.mktemp("unfinished")
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe, prepared.dataset, folder, [_StopAtCheckpoint()])
    return folder


@pytest.fixture
def folder(unfinished, tmp_path):
    return shutil.copytree(unfinished, tmp_path / "training")


def _edit(folder, change) -> None:
    [(_, path)] = step_checkpoints(folder)
    tensors = load_file(path)
    change(tensors)
    save_checkpoint(path, tensors, read_header(path))


def _name(tensors, beginning):
    return next(name for name in sorted(tensors) if name.startswith(beginning))


@pytest.mark.parametrize("part", ["model.", "ema0.", "ema1.", "optimizer.momentum/", "optimizer.exp_avg/", "optimizer.step/"])
def test_a_missing_tensor_is_named(folder, tiny_recipe, prepared, part):
    _edit(folder, lambda tensors: tensors.pop(_name(tensors, part)))
    with pytest.raises(FlowmodelError, match=rf"step-00000010\.safetensors: tensor '{part}.*' is missing.*remove the file"):
        train(tiny_recipe, prepared.dataset, folder)


def test_all_that_is_left_of_another_optimizer_is_named(folder, tiny_recipe, prepared):
    def to_adamw(tensors):
        for name in [name for name in tensors if name.startswith("optimizer.momentum/")]:
            tensors[name.replace("momentum", "exp_avg")] = tensors.pop(name)

    _edit(folder, to_adamw)
    with pytest.raises(FlowmodelError, match=r"tensor 'optimizer\.momentum/.*' is missing"):
        train(tiny_recipe, prepared.dataset, folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value.half(), r"is float16 \[.*\] instead of float32"),
        (lambda value: value.flatten()[:3].clone(), r"is float32 \[3\] instead of float32"),
    ],
)
def test_a_tensor_of_another_type_or_shape_is_named(folder, tiny_recipe, prepared, change, words):
    def edit(tensors):
        name = _name(tensors, "model.")
        tensors[name] = change(tensors[name])

    _edit(folder, edit)
    with pytest.raises(FlowmodelError, match=rf"tensor 'model\..*' {words}"):
        train(tiny_recipe, prepared.dataset, folder)


def test_a_tensor_too_many_is_named(folder, tiny_recipe, prepared):
    _edit(folder, lambda tensors: tensors.update({"model.surplus": torch.zeros(1)}))
    with pytest.raises(FlowmodelError, match=r"tensor 'model\.surplus' is not one that this training saves"):
        train(tiny_recipe, prepared.dataset, folder)


def test_a_truncated_file_is_not_a_checkpoint(folder, tiny_recipe, prepared):
    [(_, path)] = step_checkpoints(folder)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FlowmodelError, match=r"step-00000010\.safetensors: not a flowmodel checkpoint"):
        train(tiny_recipe, prepared.dataset, folder)


def test_an_untouched_copy_continues_to_the_same_bits(folder, tiny_recipe, prepared, tiny_training):
    assert train(tiny_recipe, prepared.dataset, folder).resumed_from == 10
    assert sha256_file(folder / FINAL) == tiny_training.checkpoint.digest


def test_headers_come_back_as_they_were_saved(tmp_path, tiny_training):
    header = replace(tiny_training.checkpoint.header, step=7)
    save_checkpoint(tmp_path / "a.safetensors", {"x": torch.ones(2)}, header)
    assert read_header(tmp_path / "a.safetensors") == header


def test_a_checkpoint_of_somebody_else_is_not_a_damaged_one(tiny_training, tmp_path, as_another_user):
    path = Path(shutil.copy(tiny_training.checkpoint.path, tmp_path / FINAL))
    path.chmod(0)
    with as_another_user(), pytest.raises(FlowmodelError, match=r"final\.safetensors: permission denied; ask the owner"):
        read_header(path)


def test_a_switch_that_was_removed_may_stand_in_a_header_where_it_was_off(tmp_path, tiny_training):
    header = tiny_training.checkpoint.header

    def saved(name: str, **switches: object) -> Checkpoint:
        recipe = header.recipe | {"objective": header.recipe["objective"] | switches}
        return save_checkpoint(tmp_path / name, {}, replace(header, recipe=recipe))

    assert saved("off.safetensors", contrastive=0.0, coupling="independent").recipe == tiny_training.recipe
    switched_on = saved("on.safetensors", contrastive=0.05)
    with pytest.raises(FlowmodelError, match=r"^\S*on\.safetensors: objective\.contrastive: 0\.05 is gone: [^\n]*$"):
        _ = switched_on.recipe


def test_a_model_that_was_kept_for_its_validation_loss_is_still_read(tmp_path, tiny_training):
    header = tiny_training.checkpoint.header
    recipe = header.recipe | {"training": header.recipe["training"] | {"keep": "best"}}
    saved = save_checkpoint(tmp_path / "best.safetensors", {}, replace(header, recipe=recipe))
    assert saved.recipe == tiny_training.recipe
