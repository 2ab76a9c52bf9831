"""Properties of every network."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from flowmodel.flow.objective import FlowMatchingObjective
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.nets import TextCondition, network_cost
from flowmodel.nets.layers import attend
from flowmodel.recipes.schema import ObjectiveConfig
from tests.nets.helpers import NETWORKS, TEXT_WIDTH, network_of, noisy, perturbed, text_of


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_the_output_is_zero_at_initialization(kind):
    output_BCHW = network_of(kind)(noisy(kind, 2), torch.tensor([0.1, 0.9]), text_of(3, 5))
    assert torch.equal(output_BCHW, torch.zeros_like(noisy(kind, 2)))


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_stands_in_padded_tokens_does_not_matter(kind):
    network, text = perturbed(kind), text_of(3, 9)
    rubbish = torch.where(text.mask_BL[..., None], text.tokens_BLD, torch.full_like(text.tokens_BLD, 1e3))
    with torch.no_grad():
        arguments = noisy(kind, 2), torch.tensor([0.3, 0.7])
        clean, dirty, longer = (
            network(*arguments, changed) for changed in (text, replace(text, tokens_BLD=rubbish), text.padded(16))
        )
        alone = network(noisy(kind, 2)[:1], torch.tensor([0.3]), text[:1])
    assert torch.equal(clean, dirty)
    assert torch.allclose(clean, longer, atol=1e-5) and torch.allclose(clean[:1], alone, atol=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_output_depends_on_caption_and_time_after_a_training_step(kind):
    network, data_BCHW, text = network_of(kind), noisy(kind, 4).clamp(-1, 1), text_of(2, 3, 4, 5)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    config = ObjectiveConfig(cond_dropout=0.0)
    objective, model = FlowMatchingObjective(config), VelocityModel.of(network, config)
    # In the first step only the zero-initialized output gets a gradient, in the second the layers before it.
    for step in range(2):
        objective(model, data_BCHW, text, torch.Generator().manual_seed(step)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    x_BCHW, t_B, other = noisy(kind, 1), torch.tensor([0.5]), torch.tensor([1])
    with torch.no_grad():
        output_BCHW = network(x_BCHW, t_B, text[torch.tensor([0])])
        assert not torch.allclose(output_BCHW, network(x_BCHW, t_B, text[other]), atol=1e-5)
        assert not torch.allclose(output_BCHW, network(x_BCHW, t_B + 0.3, text[torch.tensor([0])]), atol=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
def test_gradients_are_those_of_finite_differences(kind):
    network, t_B = perturbed(kind).double(), torch.tensor([0.3], dtype=torch.float64)
    text = text_of(2)
    text = replace(text, pooled_BD=text.pooled_BD.double(), tokens_BLD=text.tokens_BLD.double())
    x_BCHW = noisy(kind, 1, size=8).double().requires_grad_()
    checked = [x_BCHW, *list(network.parameters())]

    def image(x_BCHW: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return network(x_BCHW, t_B, text)

    # Along random directions of all parameters at once; one number after the other would take minutes.
    assert torch.autograd.gradcheck(image, checked, fast_mode=True, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_is_the_same_in_either_memory_format(kind):
    network, text = perturbed(kind), text_of(3, 5)
    t_B, x_BCHW = torch.tensor([0.3, 0.7]), noisy(kind, 2)
    with torch.no_grad():
        contiguous = network(x_BCHW, t_B, text)
        network = network.to(memory_format=torch.channels_last)
        channels_last = network(x_BCHW.contiguous(memory_format=torch.channels_last), t_B, text)
    assert torch.allclose(contiguous, channels_last, atol=1e-5)


class _OneLayer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x_BCHW: torch.Tensor, t_B: torch.Tensor, text: TextCondition) -> torch.Tensor:
        return self.layer(x_BCHW)


class _OneAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(4, 8, bias=False)

    def forward(self, x_BCHW: torch.Tensor, t_B: torch.Tensor, text: TextCondition) -> torch.Tensor:
        q_BSC = self.query(x_BCHW.flatten(2).mT)
        return attend(q_BSC, q_BSC, q_BSC, head_dim=4)


def test_cost_of_a_convolution_is_the_one_counted_by_hand():
    cost = network_cost(_OneLayer(nn.Conv2d(4, 8, 3, padding=1)), channels=4, size=16, text_width=TEXT_WIDTH)
    assert cost.parameters == 8 * 4 * 3 * 3 + 8
    assert cost.forward_flops == 2 * (16 * 16) * 8 * (4 * 3 * 3)


def test_cost_of_attention_is_the_one_counted_by_hand():
    cost = network_cost(_OneAttention(), channels=4, size=8, text_width=TEXT_WIDTH)
    positions = 8 * 8
    assert cost.parameters == 8 * 4
    # The projection, queries with keys, and weights with values.
    assert cost.forward_flops == 2 * positions * 4 * 8 + 2 * positions * positions * 8 + 2 * positions * positions * 8
