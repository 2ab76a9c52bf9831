"""The cost of a network: parameters and floating-point operations."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from flowmodel.nets.text_condition import TextCondition


@dataclass(frozen=True)
class Cost:
    """Attributes:
    parameters: number of learned parameters.
    forward_flops: floating-point operations of one evaluation for one image; a multiply-add counts as two. Matrix products,
        convolutions and
        attention are counted, which are nearly all of them.
    """

    parameters: int
    forward_flops: int

    def __str__(self) -> str:
        return f"{self.parameters / 1e6:.2f} M parameters, {self.forward_flops / 1e9:.2f} GFLOP per image"


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def network_cost(network: nn.Module, channels: int, size: int, text_width: int, tokens: int = 8) -> Cost:
    """The cost for images (channels, size, size) and captions of `tokens` tokens."""
    device = next(network.parameters()).device
    text = TextCondition.from_features(torch.zeros(1, text_width), [torch.zeros(tokens, text_width)]).to(device)
    x_BCHW = torch.zeros(1, channels, size, size, device=device)
    # Fused attention is not counted on some devices, including the CPU; the matrix products of the unfused version are.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(x_BCHW, torch.zeros(1, device=device), text)
    return Cost(count_parameters(network), counter.get_total_flops())
