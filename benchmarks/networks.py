"""Our networks and, behind the same interface, networks of other libraries at the same size (`pip install -e '.[bench]'`).

Widths of the peers are chosen so that their parameters are within 5% of the recipe `laptop`, with attention at the same two
resolutions as there. Each gets the conditions that it supports: diffusers' U-Net the caption's tokens and pooled vector,
torchcfm's U-Net no caption.

Shape suffixes: B batch, C channels, H/W height and width, L caption tokens, D width of the caption encoder.
"""

from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowmodel.nets import TextCondition, build_network
from flowmodel.recipes import load_recipe
from flowmodel.recipes.networks import UNetConfig
from flowmodel.text.torchvision_shim import let_torchvision_import

CHANNELS, TEXT_WIDTH, TOKENS = 4, 384, 8


class DiffusersUNet(nn.Module):
    """UNet2DConditionModel with an extra learned token, which it attends to without a caption."""

    def __init__(self, size: int, text_width: int = TEXT_WIDTH, channels: int = CHANNELS) -> None:
        super().__init__()
        let_torchvision_import()
        from diffusers import UNet2DConditionModel

        widths = (32, 48, 64, 88)
        self.network = UNet2DConditionModel(
            sample_size=size,
            in_channels=channels,
            out_channels=channels,
            block_out_channels=widths,
            layers_per_block=2,
            down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
            cross_attention_dim=text_width,
            attention_head_dim=tuple(max(1, width // 32) for width in widths),  # number of heads, despite its name
            norm_num_groups=8,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=text_width,
        )
        self.extra_token_D = nn.Parameter(torch.randn(text_width) * 0.02)
        self.pooled_scale = text_width**0.5

    def forward(self, x_BCHW: Tensor, t_B: Tensor, text: TextCondition) -> Tensor:
        extra_B1D = self.extra_token_D.expand(len(t_B), 1, -1)
        output_BCHW: Tensor = self.network(
            x_BCHW,
            t_B * 1000,  # its frequencies expect a thousand steps
            encoder_hidden_states=torch.cat([extra_B1D, text.tokens_BLD], dim=1),
            class_labels=text.pooled_BD * self.pooled_scale,
            encoder_attention_mask=F.pad(text.mask_BL, (1, 0), value=True),
        ).sample
        return output_BCHW


class TorchcfmUNet(nn.Module):
    """torchcfm's UNetModel, without captions."""

    def __init__(self, size: int, channels: int = CHANNELS) -> None:
        super().__init__()
        let_torchvision_import()
        from torchcfm.models.unet import UNetModel

        self.network = UNetModel(
            dim=(channels, size, size),
            num_channels=32,
            num_res_blocks=2,
            channel_mult=(1, 2, 2, 4),
            attention_resolutions=f"{size // 4},{size // 8}",
            num_head_channels=32,
        )

    def forward(self, x_BCHW: Tensor, t_B: Tensor, text: TextCondition) -> Tensor:
        output_BCHW: Tensor = self.network(t_B, x_BCHW)
        return output_BCHW


def laptop_unet(**changes: object) -> nn.Module:
    """The network of the recipe `laptop`, with some changed fields."""
    network = load_recipe("laptop").network
    return build_network(UNetConfig.model_validate(network.model_dump() | changes), TEXT_WIDTH, CHANNELS)


def captions(batch: int, device: str = "cpu") -> TextCondition:
    """`batch` random captions of eight tokens."""
    tokens = [torch.randn(TOKENS, TEXT_WIDTH) for _ in range(batch)]
    return TextCondition.from_features(F.normalize(torch.randn(batch, TEXT_WIDTH), dim=1), tokens).to(device)


def is_installed(package: str) -> bool:
    """Looked up without importing it, which would take seconds."""
    return find_spec(package) is not None
