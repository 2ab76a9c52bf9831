"""The error of the predicted image by t, compared with the closed form."""

import pytest
import torch

from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator
from flowmodel.recipes.split import Split
from flowmodel.training.icon_set import load_training_set
from flowmodel.training.loop import train
from flowmodel.training.observers import TrainingObserver
from flowmodel.training.prediction_error import TIMES, PredictionError, by_name, error_without_network
from tests.training.helpers import changed


@pytest.fixture(scope="module")
def measured_on(tiny_recipe, prepared) -> PredictionError:
    policy = DevicePolicy.choose("cpu", compile="off")
    training_set = load_training_set(prepared.dataset, tiny_recipe.data, policy)
    return PredictionError(prepared.dataset, tiny_recipe.data, policy, training_set, most_icons=40)


def _noisy_image_as_it_is(x_BCHW, t_B, text):
    return x_BCHW / t_B[:, None, None, None]


def test_the_noisy_image_taken_for_the_real_one_errs_as_the_formula_says(measured_on):
    errors = measured_on.measure(VelocityModel(_noisy_image_as_it_is, "data", 0.05))
    assert errors.keys() == {Split.TRAIN, Split.VALIDATION}
    for by_time in errors.values():
        assert tuple(by_time) == TIMES
        for t, error in by_time.items():
            assert error == pytest.approx(error_without_network(t), rel=0.02)


@pytest.mark.parametrize("prediction", ["data", "velocity"])
def test_a_network_that_always_sees_gray_errs_by_the_images_themselves(measured_on, prediction):
    def gray(x_BCHW, t_B, text):
        if prediction == "data":
            return torch.zeros_like(x_BCHW)
        return -x_BCHW / (1 - t_B)[:, None, None, None]

    errors = measured_on.measure(VelocityModel(gray, prediction, 0.05))[Split.TRAIN]
    assert errors[0.1] == pytest.approx(errors[0.98], abs=1e-4) and 0.5 < errors[0.1] <= 1


def test_a_finished_network_errs_the_same_twice_and_less_near_the_end(measured_on, tiny_training):
    model = Generator.load(tiny_training.checkpoint, "cpu").model
    first, second = measured_on.measure(model), measured_on.measure(model)
    assert first == second
    assert first[Split.TRAIN][0.98] < first[Split.TRAIN][0.1]
    assert by_name(first)["validation/t0.95"] == first[Split.VALIDATION][0.95]


class _Errors(TrainingObserver):
    def __init__(self) -> None:
        self.by_step = {}

    def on_prediction_error(self, step, errors):
        self.by_step[step] = errors


def test_every_training_measures_it_also_without_validation(tiny_recipe, prepared, tmp_path):
    without = changed(tiny_recipe, training={"steps": 25, "sample_every": 10, "validation": {"every": 0}})
    heard, again = _Errors(), _Errors()
    train(without, prepared.dataset, tmp_path / "a", [heard])
    assert list(heard.by_step) == [10, 20, 25]
    train(without, prepared.dataset, tmp_path / "b", [again])
    assert again.by_step == heard.by_step


def test_measuring_changes_nothing_of_the_training(tiny_training, prepared, tmp_path):
    """The tiny training had no observers."""
    heard = _Errors()
    result = train(tiny_training.recipe, prepared.dataset, tmp_path, [heard])
    assert list(heard.by_step) == [10, 20, 30]  # with its validation
    assert result.checkpoint.digest == tiny_training.checkpoint.digest
