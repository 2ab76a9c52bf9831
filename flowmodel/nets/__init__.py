"""Networks behind one interface: `output_BCHW = net(x_BCHW, t_B, text)`.

The objective decides whether the output is a velocity or a clean image (flowmodel/flow/objective.py).
"""

from torch import nn

from flowmodel.nets.cost import Cost, count_parameters, network_cost
from flowmodel.nets.dit import DiT
from flowmodel.nets.grayscale_cnn import GrayscaleCnn
from flowmodel.nets.text_condition import TextCondition
from flowmodel.nets.unet import UNet
from flowmodel.recipes.networks import DiTConfig, GrayscaleCnnConfig, NetworkConfig, UNetConfig

__all__ = ["Cost", "TextCondition", "build_network", "count_parameters", "network_cost"]


def build_network(config: NetworkConfig, text_width: int, channels: int = 4) -> nn.Module:
    """Build the network of `config` for caption vectors of width `text_width` and images with `channels` channels."""
    match config:
        case UNetConfig():
            return UNet(config, text_width, channels)
        case DiTConfig():
            return DiT(config, text_width, channels)
        case GrayscaleCnnConfig():
            return GrayscaleCnn(config, text_width, channels)
