"""The project's first network, which could not learn the task.

It is kept so that the failure can be measured. Each output pixel depends on the 9 x 9 pixels around it and on one caption vector,
so the network has no information about its position in the image.

Shape suffixes: B batch, C channels, H/W height and width, D width of the caption encoder.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from flowmodel.nets.layers import TimeEmbedding
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.networks import GrayscaleCnnConfig

_TIME_FEATURES = 128


class GrayscaleCnn(nn.Module):
    """Three 3x3 convolutions of the luminance to 64 feature maps with ReLU, then a convolution to one channel. Time and the
    pooled caption, each as a vector of width 64, are added to the feature maps of every layer.
    """

    def __init__(self, config: GrayscaleCnnConfig, text_width: int, channels: int) -> None:
        super().__init__()
        width = config.channels
        self.time = nn.Sequential(TimeEmbedding(_TIME_FEATURES), nn.Linear(_TIME_FEATURES, width))
        self.pooled_scale = text_width**0.5  # an L2-normalized vector has entries of about 1 / sqrt(D)
        self.pooled = nn.Linear(text_width, width)
        self.layers = nn.ModuleList(
            nn.Conv2d(channels if number == 0 else width, width, 3, padding=1) for number in range(config.layers)
        )
        self.head = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor, t_B: Tensor, text: TextCondition) -> Tensor:
        """A tensor of x's shape."""
        condition_BC11 = (self.time(t_B) + self.pooled(text.pooled_BD * self.pooled_scale))[:, :, None, None]
        for layer in self.layers:
            x_BCHW = F.relu(layer(x_BCHW) + condition_BC11)
        return self.head(x_BCHW)
