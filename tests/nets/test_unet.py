"""The attention U-Net."""

from dataclasses import replace

import pytest
import torch

from flowmodel.nets import TextCondition, build_network, count_parameters
from flowmodel.recipes import load_recipe
from flowmodel.recipes.networks import UNetConfig

SMALL = UNetConfig(patch_size=2, channels=(16, 32), blocks_per_level=1, head_dim=8, embedding_dim=16)


def _text(*lengths: int) -> TextCondition:
    generator = torch.Generator().manual_seed(0)
    return TextCondition.from_features(
        torch.randn(len(lengths), 6, generator=generator), [torch.randn(length, 6, generator=generator) for length in lengths]
    )


def _perturbed(config: UNetConfig = SMALL) -> torch.nn.Module:
    torch.manual_seed(0)
    net = build_network(config, text_width=6)
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return net.eval()


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("widths", [(16,), (16, 24, 32)])
def test_output_has_the_input_s_shape_and_starts_at_zero(stem, widths):
    net = build_network(
        UNetConfig(patch_size=stem, channels=widths, blocks_per_level=1, head_dim=8, embedding_dim=16), text_width=6
    )
    output_BCHW = net(torch.randn(2, 4, 32, 32), torch.rand(2), _text(3, 5))
    assert torch.equal(output_BCHW, torch.zeros(2, 4, 32, 32))


def test_every_parameter_gets_a_gradient():
    net, text = _perturbed(), replace(_text(3, 5), augmentation_BA=torch.randn(2, 4))
    net(torch.randn(2, 4, 16, 16), torch.rand(2), text).square().mean().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []


def test_padding_of_captions_does_not_matter():
    net, x_BCHW, t_B = _perturbed(), torch.randn(1, 4, 16, 16), torch.tensor([0.4])
    together = _text(3, 9)
    with torch.no_grad():
        padded = net(x_BCHW, t_B, together[:1].padded(9))
        short = net(x_BCHW, t_B, together[torch.tensor([0])])
    assert together[torch.tensor([0])].tokens_BLD.shape[1] == 3
    assert torch.allclose(padded, short, atol=1e-5)


def test_caption_tokens_and_time_matter():
    net, x_BCHW = _perturbed(), torch.randn(1, 4, 16, 16)
    text = _text(3)
    other_tokens = replace(text, tokens_BLD=-text.tokens_BLD)
    with torch.no_grad():
        output = net(x_BCHW, torch.tensor([0.4]), text)
        assert not torch.allclose(output, net(x_BCHW, torch.tensor([0.4]), other_tokens), atol=1e-4)
        assert not torch.allclose(output, net(x_BCHW, torch.tensor([0.6]), text), atol=1e-4)


def test_laptop_recipe_has_about_4_7_million_parameters():
    assert count_parameters(build_network(load_recipe("laptop").network, text_width=384)) == pytest.approx(4.7e6, rel=0.05)
