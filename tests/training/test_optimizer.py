"""Muon and the bundle of optimizers."""

import pytest
import torch

from flowmodel.recipes.schema import TrainingConfig
from flowmodel.training.optimizer import Muon, Optimizers, orthogonalize


@pytest.mark.parametrize("shape", [(3, 20, 48), (2, 64, 24), (1, 32, 32)])
def test_orthogonalize_makes_all_singular_values_about_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(matrices))
    assert values.min() > 0.3 and values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    similarity = torch.cosine_similarity(orthogonalize(matrices).flatten(1), (left @ right).flatten(1))
    assert similarity.min() > 0.95


def test_update_has_the_size_of_adam_s():
    weight = torch.nn.Parameter(torch.zeros(64, 32, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)) * 1e-4
    Muon([weight], lr=0.01, weight_decay=0.0).step()
    assert weight.detach().square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.2)


def _network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(4, 32, 3), torch.nn.GroupNorm(4, 32), torch.nn.Conv2d(32, 16, 1), torch.nn.Flatten()
    )


def _steps(network, optimizers, count):
    for step in range(count):
        inputs = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(step))
        (network(inputs) - inputs.mean()).square().mean().backward()
        optimizers.step(1e-3)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_restored_optimizer_continues_to_the_same_bits(kind):
    config = TrainingConfig(optimizer=kind)
    whole, halved = _network(), _network()
    first = Optimizers(whole, config, fused=True)
    _steps(whole, first, 3)
    halved.load_state_dict(whole.state_dict())
    state = {name: value.clone() for name, value in first.state().items()}
    second = Optimizers(halved, config, fused=True)
    second.load(state)
    _steps(whole, first, 3)
    _steps(halved, second, 3)
    for expected, found in zip(whole.parameters(), halved.parameters(), strict=True):
        assert torch.equal(expected, found)


def test_matrices_go_to_muon_and_the_rest_to_adamw():
    network = _network()
    optimizers = Optimizers(network, TrainingConfig(optimizer="muon"), fused=True)
    _steps(network, optimizers, 1)
    assert {name for name in optimizers.state() if name.startswith("momentum/")} == {"momentum/0.weight", "momentum/2.weight"}
    assert "exp_avg/1.weight" in optimizers.state() and "exp_avg/0.bias" in optimizers.state()


def test_orthogonalize_is_newton_and_schulz_s_iteration_also_for_matrices_of_nearly_no_rank():
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(2, edge, 24, generator=generator))[0] for edge in (24, 96))
    matrices = (left * torch.logspace(0, -6, 24)) @ right.mT
    expected = matrices.double() / matrices.double().norm(dim=(1, 2), keepdim=True)
    for _ in range(5):
        gram = expected @ expected.mT
        expected = 3.4445 * expected + (-4.7750 * gram + 2.0315 * gram @ gram) @ expected
    assert (orthogonalize(matrices) - expected).norm() < 1e-3 * expected.norm()


def test_a_step_does_not_depend_on_how_weights_lie_in_memory():
    weights = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        weight = torch.nn.Parameter(torch.zeros(32, 16, 3, 3).contiguous(memory_format=memory_format))
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        Muon([weight], lr=0.01, weight_decay=0.1).step()
        weights.append(weight.detach())
    assert torch.allclose(*weights, atol=1e-7)
