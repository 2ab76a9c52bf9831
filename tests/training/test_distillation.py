"""Distillation to a few steps: the student learns the jumps of its teacher's trajectories; resumed like everything else."""

from pathlib import Path

import pytest
import torch

from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.evaluation.sweeps import distance
from flowmodel.flow.sampler import seeded_noise
from flowmodel.images.tensors import from_unit
from flowmodel.model.checkpoint import Checkpoint, save_checkpoint
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator
from flowmodel.recipes import Recipe, parse_recipe
from flowmodel.training.loop import TRAJECTORIES, train, training_digest
from flowmodel.training.observers import TrainingObserver
from flowmodel.training.trajectories import draw_trajectories, teacher_prompts
from tests.conftest import TinyTraining
from tests.training.helpers import changed

CPU = DevicePolicy.choose("cpu")
FEW = {"solver": "euler", "steps": 4, "guidance": 1.0, "time_shift": 1.5}


@pytest.fixture(scope="module")
def teacher(tiny_training: TinyTraining, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The tiny training, sampled with many steps and much guidance."""
    given = tiny_training.checkpoint
    recipe = changed(tiny_training.recipe, sampling={"steps": 12, "guidance": 4.0})
    header = given.header.__class__(**vars(given.header) | {"recipe": recipe.model_dump(mode="json")})
    return save_checkpoint(tmp_path_factory.mktemp("teacher") / "teacher.safetensors", given.tensors(), header)


@pytest.fixture(scope="module")
def recipe(tiny_training: TinyTraining, teacher: Checkpoint) -> Recipe:
    distillation = {"trajectories": 96}
    training = {"init_from": str(teacher.path), "distillation": distillation, "steps": 40, "checkpoint_every": 20}
    training |= {"batch_size": 16, "learning_rate": 1e-3, "validation": {"every": 0}, "augmentation": {"probability": 0.0}}
    return changed(tiny_training.recipe, training=training, sampling=FEW)


class _Stops(TrainingObserver):
    """Stops the training at the first file of trajectories, and then at the first checkpoint."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, line: str) -> None:
        self.notes.append(line)
        if len(self.notes) == 1:
            raise KeyboardInterrupt

    def on_checkpoint(self, step: int, path: Path) -> None:
        raise KeyboardInterrupt


def test_a_student_comes_nearer_to_its_teacher_than_the_teacher_s_own_few_steps_and_resumes_with_the_same_bits(
    recipe: Recipe, teacher: Checkpoint, tiny_training: TinyTraining, tmp_path: Path
) -> None:
    dataset, stops = tiny_training.dataset, _Stops()
    student = train(recipe, dataset, tmp_path / "whole").checkpoint
    for _ in range(2):
        with pytest.raises((KeyboardInterrupt, Resumable)):
            train(recipe, dataset, tmp_path / "stopped", [stops])
    assert (tmp_path / "stopped" / TRAJECTORIES).is_dir()
    resumed = train(recipe, dataset, tmp_path / "stopped", [stops])
    assert resumed.resumed_from == 20 and resumed.checkpoint.digest == student.digest
    other = changed(recipe, sampling={"steps": 3})
    assert training_digest(other, dataset) != training_digest(recipe, dataset), "other times are another training"
    assert len(stops.notes) == 2, "each chunk of trajectories is drawn once"
    assert not (tmp_path / "stopped" / TRAJECTORIES).exists()

    own, given = Generator.load(student, "cpu"), Generator.load(teacher, "cpu")
    assert own.nfe() == 4 and given.nfe() > 12, "the settings are in the header"
    prompts = teacher_prompts(changed(recipe, training={"seed": 1}), dataset)[:32]
    wanted = given.sample(prompts, seed=5)
    ours = distance(own.sample(prompts, seed=5), wanted)
    for steps, guidance in ((4, 1.0), (2, 4.0)):
        assert given.nfe(steps, guidance) == 4
        theirs = distance(given.sample(prompts, seed=5, steps=steps, guidance=guidance), wanted)
        assert ours < 0.9 * theirs


def test_trajectories_pass_the_states_of_sampling_at_the_student_s_times(
    recipe: Recipe, teacher: Checkpoint, tiny_training: TinyTraining
) -> None:
    few = changed(recipe, training={"distillation": {"trajectories": 5}})
    drawn = draw_trajectories(few, tiny_training.dataset, CPU, folder=None)
    assert drawn.times == pytest.approx((0.0, 2 / 11, 0.4, 2 / 3, 1.0)) and drawn.states_NKCHW.shape == (5, 5, 4, 16, 16)
    given = Generator.load(teacher, "cpu")
    text = given.encode(drawn.prompts)
    states_BKCHW, encoded = drawn.batch(torch.arange(5))
    assert torch.allclose(encoded.pooled_BD, text.pooled_BD)
    # Where the solver stops anyway, a state is that of the whole sampling; so is the last one.
    noise_BCHW, config = seeded_noise(5, 16, seed=3), given.sampling()
    states_BKCHW = given.states(text, noise_BCHW, config, [0.25, 1.0])
    shown = given.draw(text, config, seed=3)
    assert torch.equal(from_unit(states_BKCHW[:, 1]), shown)
    assert not torch.equal(states_BKCHW[:, 0], states_BKCHW[:, 1])


def test_prompts_are_captions_of_training_icons_and_blends_of_these_and_never_those_of_held_out_icons(
    recipe: Recipe, tiny_training: TinyTraining
) -> None:
    dataset = tiny_training.dataset
    table = dataset.captions.table
    is_trained = table["icon_id"].isin(dataset.ids_of_split("train", recipe.data))
    trained, names = set(table[is_trained]["text"]), set(table[is_trained & (table["template"] == "name")]["text"])
    many = changed(recipe, training={"distillation": {"trajectories": 600, "blends": 0.5}})
    prompts = teacher_prompts(many, dataset)
    blends = [prompt for prompt in prompts if prompt not in trained]
    assert 200 < len(blends) < 400
    assert not set(prompts) & (set(table[~is_trained]["text"]) - trained)
    assert all(any(prompt.startswith(f"{name} ") for name in names) for prompt in blends)
    assert teacher_prompts(changed(many, training={"distillation": {"trajectories": 70, "blends": 0.5}}), dataset) == prompts[:70]
    assert teacher_prompts(changed(many, training={"seed": 4}), dataset) != prompts
    none = changed(recipe, training={"distillation": {"trajectories": 100, "blends": 0.0}})
    assert set(teacher_prompts(none, dataset)) <= trained


def test_a_recipe_that_cannot_be_distilled_is_refused_in_one_line(recipe: Recipe) -> None:
    for section, change, message in (
        ("training", {"init_from": None}, "there is no teacher; set init_from"),
        ("training", {"augmentation": {"probability": 0.1}}, "set rehearsal.share and augmentation.probability to 0"),
        ("sampling", {"guidance": 2.0}, "set sampling.solver to euler and sampling.guidance to 1"),
        ("sampling", {"solver": "heun"}, "set sampling.solver to euler and sampling.guidance to 1"),
    ):
        values = recipe.model_dump(mode="json")
        values[section] |= change
        with pytest.raises(FlowmodelError, match=message):
            parse_recipe(values, "test")
