"""Networks behind one interface: `output_BCHW = net(x_BCHW, t_B, text)`.

Whether the output is a velocity or a clean picture is the objective's business (flowmodel/flow/objective.py).
"""

from torch import nn

from flowmodel.nets.text_condition import TextCondition
from flowmodel.nets.unet import UNet
from flowmodel.recipes.schema import NetworkConfig

__all__ = ["TextCondition", "UNet", "build_network", "count_parameters"]


def build_network(config: NetworkConfig, text_width: int) -> nn.Module:
    """The network that `config` describes, for caption vectors of `text_width` numbers."""
    return UNet(config, text_width)


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
