"""x_t and u_t, and what a network's output means."""

import pytest
import torch

from flowmodel.flow.objective import Draw, FlowMatchingObjective, velocity_from_output
from flowmodel.flow.path import interpolate, target_velocity
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import ObjectiveConfig


def _noise_and_data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 4, 8, 8, generator=generator), torch.randn(3, 4, 8, 8, generator=generator)


def _no_text(batch: int) -> TextCondition:
    return TextCondition.from_features(torch.zeros(batch, 5), [torch.zeros(2, 5)] * batch)


def test_path_runs_from_noise_at_0_to_data_at_1():
    noise_BCHW, data_BCHW = _noise_and_data()
    assert torch.equal(interpolate(noise_BCHW, data_BCHW, torch.zeros(3)), noise_BCHW)
    assert torch.equal(interpolate(noise_BCHW, data_BCHW, torch.ones(3)), data_BCHW)


def test_target_velocity_is_the_derivative_of_the_path():
    noise_BCHW, data_BCHW = (x.double() for x in _noise_and_data())
    t_B, h = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64), 1e-4
    difference = interpolate(noise_BCHW, data_BCHW, t_B + h) - interpolate(noise_BCHW, data_BCHW, t_B - h)
    assert torch.allclose(difference / (2 * h), target_velocity(noise_BCHW, data_BCHW), atol=1e-8)


def test_predicted_data_gives_the_velocity_of_the_path():
    noise_BCHW, data_BCHW = _noise_and_data()
    t_B = torch.tensor([0.0, 0.5, 0.9])
    x_BCHW = interpolate(noise_BCHW, data_BCHW, t_B)
    velocity_BCHW = velocity_from_output(data_BCHW, x_BCHW, t_B, "data")
    assert torch.allclose(velocity_BCHW, target_velocity(noise_BCHW, data_BCHW), atol=1e-4)
    assert velocity_from_output(data_BCHW, x_BCHW, t_B, "velocity") is data_BCHW


class _Oracle(torch.nn.Module):
    """Knows the data; can add an error to it."""

    def __init__(self, data_BCHW: torch.Tensor, error: float = 0.0) -> None:
        super().__init__()
        self.data_BCHW, self.error = data_BCHW, error
        self.seen: list[tuple[torch.Tensor, torch.Tensor, TextCondition]] = []

    def forward(self, x_BCHW: torch.Tensor, t_B: torch.Tensor, text: TextCondition) -> torch.Tensor:
        self.seen.append((x_BCHW, t_B, text))
        return self.data_BCHW + self.error


def test_loss_is_zero_for_the_right_answer_and_is_the_velocity_error_otherwise():
    _, data_BCHW = _noise_and_data()
    config = ObjectiveConfig(prediction="data", min_noise=1e-3)

    def loss(net: _Oracle) -> torch.Tensor:
        return FlowMatchingObjective(config)(net, data_BCHW, _no_text(3), torch.Generator().manual_seed(1))

    assert torch.equal(loss(_Oracle(data_BCHW)), torch.zeros(3))
    wrong = _Oracle(data_BCHW, error=0.25)
    loss_B = loss(wrong)
    x_BCHW, t_B, _ = wrong.seen[0]
    noise_BCHW = (x_BCHW - t_B[:, None, None, None] * data_BCHW) / (1 - t_B)[:, None, None, None]
    velocity_BCHW = velocity_from_output(data_BCHW + 0.25, x_BCHW, t_B, "data")
    error_B = (velocity_BCHW - target_velocity(noise_BCHW, data_BCHW)).square().mean(dim=(1, 2, 3))
    assert torch.allclose(loss_B, error_B, rtol=1e-3)


def test_captions_are_dropped_per_sample():
    data_BCHW = torch.zeros(4000, 4, 1, 1)
    net = _Oracle(data_BCHW)
    text = TextCondition.from_features(torch.ones(4000, 5), [torch.ones(2, 5)] * 4000)
    FlowMatchingObjective(ObjectiveConfig(condition_dropout=0.1))(net, data_BCHW, text, torch.Generator().manual_seed(0))
    seen = net.seen[0][2]
    dropped_B = ~seen.mask_BL.any(dim=1)
    assert 0.08 < dropped_B.float().mean() < 0.12
    assert torch.equal(dropped_B, (seen.pooled_BD == 0).all(dim=1))


def _draw(data_BCHW: torch.Tensor, **fields: object) -> tuple[FlowMatchingObjective, Draw]:
    objective = FlowMatchingObjective(ObjectiveConfig.model_validate(fields))
    return objective, objective.draw(data_BCHW, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("prediction", ["velocity", "data"])
def test_a_loss_is_the_squared_error_of_the_velocity(prediction):
    _, data_BCHW = _noise_and_data()
    objective, draw = _draw(data_BCHW, prediction=prediction, condition_dropout=0.0, min_noise=1e-4)
    x_BCHW = interpolate(draw.noise_BCHW, data_BCHW, draw.t_B)
    velocity_BCHW = velocity_from_output(data_BCHW + 0.25, x_BCHW, draw.t_B, prediction)
    error_B = (velocity_BCHW - target_velocity(draw.noise_BCHW, data_BCHW)).square().mean(dim=(1, 2, 3))
    assert torch.allclose(objective.loss(_Oracle(data_BCHW, error=0.25), data_BCHW, _no_text(3), draw), error_B, rtol=1e-3)


def test_slices_of_a_draw_give_the_losses_of_the_whole():
    _, data_BCHW = _noise_and_data()
    objective, draw = _draw(data_BCHW)
    whole_B = objective.loss(_Oracle(data_BCHW, 0.1), data_BCHW, _no_text(3), draw)
    parts = [
        objective.loss(_Oracle(data_BCHW[rows], 0.1), data_BCHW[rows], _no_text(3)[rows], draw.rows(rows))
        for rows in (slice(0, 1), slice(1, 3))
    ]
    assert torch.allclose(torch.cat(parts), whole_B)
