"""The meaning of a network's output, in the loss and for the solvers."""

import pytest
import torch

from flowmodel.flow.objective import Draw, FlowMatchingObjective
from flowmodel.flow.path import interpolate, target_velocity
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import ObjectiveConfig


def _noise_and_data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 4, 8, 8, generator=generator), torch.randn(3, 4, 8, 8, generator=generator)


def _no_text(batch: int) -> TextCondition:
    return TextCondition.from_features(torch.zeros(batch, 5), [torch.zeros(2, 5)] * batch)


class _Answers(torch.nn.Module):
    """Returns the same images for any input."""

    def __init__(self, output_BCHW: torch.Tensor) -> None:
        super().__init__()
        self.output_BCHW = output_BCHW
        self.seen: list[tuple[torch.Tensor, torch.Tensor, TextCondition]] = []

    def forward(self, x_BCHW: torch.Tensor, t_B: torch.Tensor, text: TextCondition) -> torch.Tensor:
        self.seen.append((x_BCHW, t_B, text))
        return self.output_BCHW


def test_predicted_data_gives_the_velocity_of_the_path():
    noise_BCHW, data_BCHW = _noise_and_data()
    t_B = torch.tensor([0.0, 0.5, 0.9])
    x_BCHW = interpolate(noise_BCHW, data_BCHW, t_B)
    velocity_BCHW = VelocityModel(_Answers(data_BCHW), "data", 0.05).velocity(x_BCHW, t_B, _no_text(3))
    assert torch.allclose(velocity_BCHW, target_velocity(noise_BCHW, data_BCHW), atol=1e-4)


def test_a_predicted_velocity_is_the_output():
    noise_BCHW, data_BCHW = _noise_and_data()
    model = VelocityModel(_Answers(data_BCHW), "velocity", 0.05)
    assert torch.equal(model.velocity(noise_BCHW, torch.tensor([0.0, 0.5, 1.0]), _no_text(3)), data_BCHW)


@pytest.mark.parametrize("prediction", ["velocity", "data"])
def test_the_loss_is_the_squared_error_of_the_velocity_that_solvers_follow(prediction):
    _, data_BCHW = _noise_and_data()
    config = ObjectiveConfig(prediction=prediction, cond_dropout=0.0, min_noise=1e-3)
    objective, right_BCHW = FlowMatchingObjective(config), data_BCHW
    draw = objective.draw(data_BCHW, torch.Generator().manual_seed(1))
    if prediction == "velocity":
        right_BCHW = target_velocity(draw.noise_BCHW, data_BCHW)
    right, wrong = (VelocityModel.of(_Answers(right_BCHW + error), config) for error in (0.0, 0.25))
    assert torch.equal(objective.loss(right, data_BCHW, _no_text(3), draw), torch.zeros(3))
    x_BCHW = interpolate(draw.noise_BCHW, data_BCHW, draw.t_B)
    velocity_BCHW = wrong.velocity(x_BCHW, draw.t_B, _no_text(3))
    error_B = (velocity_BCHW - target_velocity(draw.noise_BCHW, data_BCHW)).square().mean(dim=(1, 2, 3))
    assert torch.allclose(objective.loss(wrong, data_BCHW, _no_text(3), draw), error_B, rtol=1e-3)


def test_the_cleanest_samples_count_no_more_than_the_least_noise_allows():
    _, data_BCHW = _noise_and_data()
    draw = Draw(torch.zeros_like(data_BCHW), torch.tensor([0.5, 0.9, 0.999]), torch.ones(3, dtype=torch.bool))
    config = ObjectiveConfig(min_noise=0.1)
    model = VelocityModel.of(_Answers(data_BCHW + 1), config)
    loss_B = FlowMatchingObjective(config).loss(model, data_BCHW, _no_text(3), draw)
    assert torch.allclose(loss_B, torch.tensor([4.0, 100.0, 100.0]), rtol=1e-4)


def test_captions_are_dropped_per_sample():
    data_BCHW, config = torch.zeros(4000, 4, 1, 1), ObjectiveConfig(cond_dropout=0.1)
    net = _Answers(data_BCHW)
    text = TextCondition.from_features(torch.ones(4000, 5), [torch.ones(2, 5)] * 4000)
    FlowMatchingObjective(config)(VelocityModel.of(net, config), data_BCHW, text, torch.Generator().manual_seed(0))
    seen = net.seen[0][2]
    dropped_B = ~seen.mask_BL.any(dim=1)
    assert 0.08 < dropped_B.float().mean() < 0.12
    assert torch.equal(dropped_B, (seen.pooled_BD == 0).all(dim=1))


def test_slices_of_a_draw_give_the_losses_of_the_whole():
    _, data_BCHW = _noise_and_data()
    config = ObjectiveConfig()
    objective = FlowMatchingObjective(config)
    draw = objective.draw(data_BCHW, torch.Generator().manual_seed(1))
    whole_B = objective.loss(VelocityModel.of(_Answers(data_BCHW + 0.1), config), data_BCHW, _no_text(3), draw)
    parts = []
    for rows in (slice(0, 1), slice(1, 3)):
        model = VelocityModel.of(_Answers(data_BCHW[rows] + 0.1), config)
        parts.append(objective.loss(model, data_BCHW[rows], _no_text(3)[rows], draw.rows(rows)))
    assert torch.allclose(torch.cat(parts), whole_B)


def test_the_gradient_term_counts_differences_between_neighbors_at_clean_times_only():
    data_BCHW, config = torch.zeros(2, 4, 8, 8), ObjectiveConfig(gradient_weight=0.5, cond_dropout=0.0)
    draw = Draw(torch.zeros_like(data_BCHW), torch.tensor([0.2, 0.5]), torch.ones(2, dtype=torch.bool))
    objective = FlowMatchingObjective(config)

    def terms(error_HW: torch.Tensor) -> torch.Tensor:
        model = VelocityModel.of(_Answers(data_BCHW + error_HW), config)
        both = (objective.loss, objective.squared_error)
        loss_B, squared_B = (measure(model, data_BCHW, _no_text(2), draw) for measure in both)
        return loss_B - squared_B

    assert torch.equal(terms(torch.ones(8, 8)), torch.zeros(2))
    # 0.1 a pixel to the right: in units of v at t = 0.5 it is 0.2, and twice and four times that on the pyramid.
    ramp_HW = 0.1 * torch.arange(8.0).expand(8, 8)
    assert torch.allclose(terms(ramp_HW), torch.tensor([0.0, 0.5 * (0.2 + 0.4 + 0.8)]))
