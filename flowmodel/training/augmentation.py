"""Small shifts and scalings of training images. The network is conditioned on them, so that they don't leak into samples.

There are no flips or rotations, because they change the meaning of arrows, hands, letters and clocks.

Shape suffixes: B batch, M moved images, C channels, H/W height and width, A = 4 parameters per move.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import AugmentationConfig, Color

_GROUND = {"rgba": -1.0, "rgb": 1.0, "grayscale": 1.0}  # transparent, or white


def augment(
    x_BCHW: Tensor, text: TextCondition, config: AugmentationConfig, color: Color, generator: torch.Generator
) -> tuple[Tensor, TextCondition]:
    """Scale, stretch and shift a random share of the images, and return the parameters as the condition (Karras et al.
    2206.00364, appendix F.2). Zeros, which sampling uses, mean that an image was not moved.

    `generator` is on the CPU, so that choosing the images does not synchronize with the device.
    """
    batch, device = len(x_BCHW), x_BCHW.device
    moves_BA = torch.randn(batch, 4, generator=generator)
    moves_BA *= torch.tensor([config.scale, config.aspect, config.translation, config.translation])
    moved_M = (torch.rand(batch, generator=generator) < config.probability).nonzero()[:, 0]
    label_BA = torch.zeros(batch, 4)
    label_BA[moved_M] = moves_BA[moved_M]
    if len(moved_M):
        rows_M = moved_M.to(device)
        x_BCHW = x_BCHW.index_copy(0, rows_M, _move(x_BCHW[rows_M], moves_BA[moved_M].to(device), _GROUND[color]).to(x_BCHW))
    return x_BCHW, replace(text, augmentation_BA=label_BA.to(device))


def _move(x_MCHW: Tensor, moves_MA: Tensor, ground: float) -> Tensor:
    scale_M, aspect_M, right_M, down_M = moves_MA.unbind(1)
    width_M, height_M = torch.exp2(scale_M + aspect_M / 2), torch.exp2(scale_M - aspect_M / 2)
    # affine_grid expects the source of each target pixel, in [-1, 1] over the image: the inverse of the move.
    inverse_M23 = torch.zeros(len(x_MCHW), 2, 3, device=x_MCHW.device)
    inverse_M23[:, 0, 0], inverse_M23[:, 0, 2] = 1 / width_M, -2 * right_M / width_M
    inverse_M23[:, 1, 1], inverse_M23[:, 1, 2] = 1 / height_M, -2 * down_M / height_M
    grid_MHW2 = F.affine_grid(inverse_M23, list(x_MCHW.shape), align_corners=False)
    # grid_sample pads with zeros, so the background has to be zero.
    return F.grid_sample(x_MCHW - ground, grid_MHW2, align_corners=False) + ground
