"""Peers are comparable: as many parameters as ours, and trainable."""

import pytest
import torch

from benchmarks.networks import DiffusersUNet, TorchcfmUNet, captions, is_installed, laptop_unet
from flowmodel.nets import count_parameters

PEERS = [
    pytest.param(build, marks=pytest.mark.skipif(not is_installed(package), reason=f"{package} is not installed"))
    for build, package in ((DiffusersUNet, "diffusers"), (TorchcfmUNet, "torchcfm"))
]


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("build", PEERS)
def test_a_peer_has_as_many_parameters_as_ours(build, size):
    assert count_parameters(build(size)) == pytest.approx(count_parameters(laptop_unet()), rel=0.05)


@pytest.mark.parametrize("build", PEERS)
def test_a_peer_gives_an_image_and_gradients(build):
    network = build(32)
    output_BCHW = network(torch.randn(2, 4, 32, 32), torch.rand(2), captions(2))
    (output_BCHW - 1).square().mean().backward()
    assert output_BCHW.shape == (2, 4, 32, 32)
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_variants_of_ours_keep_the_size():
    ours = count_parameters(laptop_unet())
    depthwise = laptop_unet(convolution="depthwise_separable", channels=(96, 160, 240), head_dim=16)
    assert count_parameters(depthwise) == pytest.approx(ours, rel=0.05)
    assert count_parameters(laptop_unet(patch_size=4, channels=(80, 160))) == pytest.approx(ours, rel=0.05)
