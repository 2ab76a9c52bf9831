"""Classifier-free guidance."""

import pytest
import torch

from flowmodel.flow.guidance import GuidedVelocity
from flowmodel.flow.sampler import sample, sample_trajectory, seeded_noise
from flowmodel.flow.seeds import mixed_seed
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.images.tensors import from_unit
from flowmodel.nets import TextCondition, build_network
from flowmodel.recipes.networks import UNetConfig
from flowmodel.recipes.schema import SamplingConfig


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    net = build_network(
        UNetConfig(patch_size=2, channels=(16, 16), blocks_per_level=1, head_dim=8, embedding_dim=16), text_width=6
    )
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # away from the zero-initialized output
    return net.eval()


def _text() -> TextCondition:
    generator = torch.Generator().manual_seed(3)
    return TextCondition.from_features(
        torch.randn(2, 6, generator=generator), [torch.randn(length, 6, generator=generator) for length in (2, 4)]
    )


def _velocity(network, guidance, text=None, **options):
    config = SamplingConfig(guidance=guidance, **options)
    velocity = GuidedVelocity(VelocityModel(network, "velocity", 0.05), text or _text(), config)
    with torch.no_grad():
        return velocity(seeded_noise(2, 16, seed=0), 0.3), velocity.evaluations


def test_guidance_1_is_off_and_costs_one_evaluation(network):
    guided, evaluations = _velocity(network, 1.0)
    with torch.no_grad():
        plain = network(seeded_noise(2, 16, seed=0), torch.full((2,), 0.3), _text())
    assert evaluations == 1
    assert torch.equal(guided, plain)


def test_guidance_follows_its_formula(network):
    conditional, _ = _velocity(network, 1.0)
    unconditional, evaluations = _velocity(network, 0.0)
    guided, _ = _velocity(network, 2.5)
    assert evaluations == 2
    assert not torch.allclose(conditional, unconditional)
    assert torch.allclose(guided, unconditional + 2.5 * (conditional - unconditional), atol=1e-5)


def test_outside_its_interval_guidance_is_off(network):
    conditional, _ = _velocity(network, 1.0)
    outside, evaluations = _velocity(network, 2.5, guidance_interval=(0.4, 1.0))
    assert evaluations == 1 and torch.equal(outside, conditional)
    inside, evaluations = _velocity(network, 2.5, guidance_interval=(0.2, 0.3))
    assert evaluations == 2 and torch.equal(inside, _velocity(network, 2.5)[0])


def test_without_a_caption_the_text_has_no_influence(network):
    one, _ = _velocity(network, 1.0, _text().keep(torch.tensor([False, False])))
    other = TextCondition.from_features(torch.zeros(2, 6), [torch.full((3, 6), 9.0)] * 2).keep(torch.tensor([False, False]))
    assert torch.allclose(one, _velocity(network, 1.0, other)[0], atol=1e-6)


def test_noise_depends_on_seed_and_number_alone():
    assert torch.equal(seeded_noise(5, 8, seed=1)[3:], seeded_noise(2, 8, seed=1, first=3))
    assert not torch.equal(seeded_noise(1, 8, seed=1), seeded_noise(1, 8, seed=2))
    assert not torch.equal(seeded_noise(1, 8, seed=1), seeded_noise(1, 8, seed=1, first=1))
    assert mixed_seed(1, 2) != mixed_seed(2, 1)


def test_noise_of_fewer_channels_is_the_beginning_of_that_of_four():
    assert torch.equal(seeded_noise(3, 8, seed=1, channels=1), seeded_noise(3, 8, seed=1)[:, :1])


def test_samples_are_valid_premultiplied_images_and_repeat(network):
    config = SamplingConfig(solver="heun", steps=3, guidance=2.0)
    first, second = (sample(VelocityModel(network, "data", 0.05), _text(), seeded_noise(2, 16, seed=4), config) for _ in range(2))
    assert first.dtype == torch.uint8 and first.shape == (2, 4, 16, 16)
    assert torch.equal(first, second)
    assert (first[:, :3] <= first[:, 3:]).all()


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
def test_a_trajectory_leads_from_the_noise_to_the_sample(network, solver):
    config = SamplingConfig(solver=solver, steps=3, guidance=2.0, time_shift=2.0)
    noise_BCHW = seeded_noise(2, 16, seed=4)
    model = VelocityModel(network, "data", 0.05)
    trajectory = sample_trajectory(model, _text(), noise_BCHW, config)
    assert trajectory.states_SBCHW.shape == trajectory.estimates_SBCHW.shape == (4, 2, 4, 16, 16)
    assert trajectory.times[0] == 0 and trajectory.times[-1] == 1 and len(trajectory.times) == 4
    assert torch.equal(trajectory.states_SBCHW[0], from_unit(noise_BCHW))
    assert torch.equal(trajectory.states_SBCHW[-1], sample(model, _text(), noise_BCHW, config))
