"""Conversions between premultiplied uint8 images and the float tensors of networks.

Shape suffixes: N icons, 4 channels (premultiplied RGBA), C channels in the model, H = W = size.
"""

import torch
import torch.nn.functional as F

from flowmodel.recipes.schema import Color

# Number of channels in the model, by the recipe's data.color.
CHANNELS: dict[Color, int] = {"rgba": 4, "rgb": 3, "grayscale": 1}

_LUMA = (0.2126, 0.7152, 0.0722)  # of red, green and blue, ITU-R BT.709


def to_unit(rgba_N4HW: torch.Tensor, color: Color = "rgba") -> torch.Tensor:
    """Convert premultiplied uint8 to the model's float32 in [-1, 1], (N, C, H, W), on any device.

    C is 4 for "rgba", 3 for "rgb" and 1 for "grayscale"; the latter two are composited on white. Gray is the luma of Rec. 709.
    """
    x_N4HW = rgba_N4HW.to(torch.float32) / 127.5 - 1.0
    if color == "rgba":
        return x_N4HW
    rgb_N3HW = x_N4HW[:, :3] - x_N4HW[:, 3:] + 1.0  # premultiplied color plus the visible part of the white background
    return rgb_N3HW if color == "rgb" else torch.einsum("nchw,c->nhw", rgb_N3HW, rgb_N3HW.new_tensor(_LUMA))[:, None]


def from_unit(x_NCHW: torch.Tensor) -> torch.Tensor:
    """Convert the model's floats, in any color mode, to premultiplied uint8 (N, 4, H, W): rounded, clamped, and with no color
    above alpha.

    A network may output any color, but a premultiplied color above alpha has no meaning. Three channels, and one, are opaque.
    """
    bytes_NCHW = ((x_NCHW.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    if bytes_NCHW.shape[1] == CHANNELS["rgba"]:
        color_N3HW, alpha_N1HW = bytes_NCHW[:, :3], bytes_NCHW[:, 3:]
        return torch.cat([torch.minimum(color_N3HW, alpha_N1HW), alpha_N1HW], dim=1)
    color_N3HW = bytes_NCHW.expand(-1, 3, -1, -1)
    return torch.cat([color_N3HW, torch.full_like(color_N3HW[:, :1], 255)], dim=1)


def at_size(rgba_N4HW: torch.Tensor, size: int) -> torch.Tensor:
    """Reduce premultiplied uint8 images to edges of `size` pixels, a divisor of their own, by averaging."""
    factor = rgba_N4HW.shape[-1] // size
    if factor == 1:
        return rgba_N4HW
    return F.avg_pool2d(rgba_N4HW.float(), factor).round().to(torch.uint8)
