"""A small network of each kind, and inputs."""

import torch
from torch import nn

from flowmodel.nets import TextCondition, build_network
from flowmodel.recipes.networks import DiTConfig, GrayscaleCnnConfig, NetworkConfig, UNetConfig

TEXT_WIDTH = 6
NETWORKS: dict[str, NetworkConfig] = {
    "unet": UNetConfig(patch_size=2, channels=(8, 16), blocks_per_level=1, head_dim=8, embedding_dim=16),
    "dit": DiTConfig(patch_size=4, width=16, depth=2, head_dim=8, embedding_dim=16),
    "grayscale_cnn": GrayscaleCnnConfig(channels=8),
}


def channels_of(kind: str) -> int:
    return 1 if kind == "grayscale_cnn" else 4


def text_of(*lengths: int) -> TextCondition:
    generator = torch.Generator().manual_seed(0)
    return TextCondition.from_features(
        torch.randn(len(lengths), TEXT_WIDTH, generator=generator),
        [torch.randn(length, TEXT_WIDTH, generator=generator) for length in lengths],
    )


def network_of(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return build_network(NETWORKS[kind], TEXT_WIDTH, channels_of(kind))


def perturbed(kind: str) -> nn.Module:
    """Move it away from its zero initialization, as after some training."""
    network = network_of(kind)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval()


def noisy(kind: str, batch: int, size: int = 16) -> torch.Tensor:
    return torch.randn(batch, channels_of(kind), size, size, generator=torch.Generator().manual_seed(1))
